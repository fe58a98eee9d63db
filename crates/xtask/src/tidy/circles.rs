//! Circles of files: which files of a crate import one another, directly or round a corner.
//!
//! Two files that import each other can only be understood, moved and changed together; twenty that
//! do are one file with walls painted on it. This module finds them (see [`Paths`] for what counts
//! as an import) and compares their sizes with [`ALLOWED`], a list that may only shrink.
//!
//! Decided: a file imports the file that *defines* what it names, through however many re-exports;
//! a facade neither makes nor hides a circle. A parent and a child that name each other are no
//! circle (putting children together is a parent's job, and what they share may stand there), nor
//! is a folder by itself; they are once the way back leads over other files, or from sibling to
//! sibling. Methods are not looked at: one `impl` in five files is no circle, but may be a knot.

use super::paths::{Module, Paths, deepest};
use super::{Finding, Source};
use std::collections::{BTreeMap, BTreeSet};

/// What each file of a crate imports.
type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// Sizes of the circles that a crate still has, largest first: shrink a row, never let it grow.
const ALLOWED: &[(&str, &[usize])] = &[];

/// A crate's name and its circles of more than one file, largest first.
pub(super) struct Circles {
    pub(super) of: String,
    pub(super) circles: Vec<Vec<Member>>,
}

/// A file of a circle, by its module, and which others of it it imports.
pub(super) struct Member {
    pub(super) module: String,
    pub(super) imports: Vec<String>,
}

/// The circles of every crate.
pub(super) fn find(sources: &BTreeMap<String, Source>) -> Vec<Circles> {
    let mut crates: BTreeMap<&str, BTreeMap<Module, &Source>> = BTreeMap::new();
    for source in sources.values().filter(|source| source.is_rust()) {
        if let Some((of, module)) = place(&source.path) {
            crates.entry(of).or_default().insert(module, source);
        }
    }
    let found = crates.into_iter().map(|(of, files)| {
        let files = files.iter().map(|(module, source)| (module.clone(), &*source.text));
        let imports = in_crate(&files.collect());
        let circles = components(&imports);
        let circles = circles.iter().map(|circle| members(circle, &imports)).collect();
        Circles { of: of.to_owned(), circles }
    });
    found.collect()
}

/// Compares with [`ALLOWED`].
pub(super) fn judge(found: &[Circles]) -> Vec<Finding> {
    judge_by(ALLOWED, found)
}

fn judge_by(allowed: &[(&str, &[usize])], found: &[Circles]) -> Vec<Finding> {
    let sizes_allowed = |of: &str| {
        let row = allowed.iter().find(|(name, _)| *name == of);
        row.map_or(&[][..], |(_, sizes)| *sizes)
    };
    let mut findings = Vec::new();
    for Circles { of, circles } in found {
        let sizes: Vec<usize> = circles.iter().map(Vec::len).collect();
        let allowed = sizes_allowed(of);
        if sizes != allowed {
            let grew = sizes.iter().sum::<usize>() > allowed.iter().sum();
            let advice = if grew { "untie what is new" } else { "write the new sizes down" };
            let why = format!("circles of {sizes:?} files, {allowed:?} are listed: {advice}");
            findings.push(finding(of, why));
        }
    }
    let gone = |of: &str| !found.iter().any(|circles| circles.of == of);
    for (of, _) in allowed.iter().filter(|(of, _)| gone(of)) {
        findings
            .push(finding(of, "circles are listed for it, but there is no such crate".to_owned()));
    }
    findings
}

fn finding(of: &str, why: String) -> Finding {
    Finding { rule: "circles", path: of.to_owned(), line: 0, why }
}

/// The crate that a file belongs to, and its module in there; `None` for what is no module.
fn place(path: &str) -> Option<(&str, Module)> {
    let (of, inside) = path.split_once("/src/")?;
    let inside = inside.strip_suffix(".rs")?;
    let mut module: Module = inside.split('/').map(str::to_owned).collect();
    let last = module.last().map_or("", String::as_str);
    let is_root = module.len() == 1 && matches!(last, "lib" | "main");
    if last == "mod" || is_root {
        module.pop();
    }
    Some((of.strip_prefix("crates/").unwrap_or(of), module))
}

fn members(circle: &[Module], imports: &Imports) -> Vec<Member> {
    let path = |module: &Module| module.join("::");
    let member = |module: &Module| {
        let imports = imports.get(module).into_iter().flatten();
        let imports = imports.filter(|other| circle.contains(other)).map(path).collect();
        Member { module: path(module), imports }
    };
    circle.iter().map(member).collect()
}

/// What files import of each other, each given as its module and its text.
fn in_crate(files: &BTreeMap<Module, &str>) -> Imports {
    let modules: BTreeSet<Module> = files.keys().cloned().collect();
    let read =
        |(module, text): (&Module, &&str)| (module.clone(), Paths::of(module, text, &modules));
    let mut said: BTreeMap<Module, Paths> = files.iter().map(read).collect();
    let tests: Vec<Module> =
        said.values().flat_map(|paths| paths.test_modules.iter().cloned()).collect();
    said.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
    let of_file = |(module, paths): (&Module, &Paths)| {
        let named = paths.named.iter().map(|(of, rest)| definer(of, rest, &said, &modules, 0));
        let imported = named.filter(|other| other != module);
        (module.clone(), imported.collect())
    };
    said.iter().map(of_file).collect()
}

/// The file that defines what a path names, behind whatever re-exports it.
fn definer(
    module: &Module,
    rest: &[String],
    said: &BTreeMap<Module, Paths>,
    modules: &BTreeSet<Module>,
    depth: usize,
) -> Module {
    /// Longer chains do not occur; two facades that take everything of each other would not end.
    const CHAIN_MAX: usize = 8;
    let (Some(paths), Some((name, behind))) = (said.get(module), rest.split_first()) else {
        return module.clone();
    };
    if depth == CHAIN_MAX || paths.defined.contains(name) {
        return module.clone();
    }
    if let Some((of, front)) = paths.bound.get(name) {
        let (of, rest) = deepest(of.clone(), [front, behind].concat(), modules);
        return definer(&of, &rest, said, modules, depth + 1);
    }
    let from_globs = paths.globs.iter().find_map(|of| {
        let found = definer(of, rest, said, modules, depth + 1);
        said.get(&found).filter(|paths| paths.defined.contains(name)).map(|_| found)
    });
    from_globs.unwrap_or_else(|| module.clone())
}

/// Strongly connected components of more than one file, largest first; without folders that are one
/// only because the parent names its children.
fn components(imports: &Imports) -> Vec<Vec<Module>> {
    let mut circles = Vec::new();
    for circle in connected(imports) {
        let parent = circle.iter().find(|one| circle.iter().all(|other| other.starts_with(one)));
        let Some(parent) = parent else {
            circles.push(circle);
            continue;
        };
        let of_circle = |module: &Module| (module.clone(), imports.get(module).cloned());
        let mut without: Imports = circle
            .iter()
            .filter(|module| *module != parent)
            .map(of_circle)
            .map(|(module, imported)| (module, imported.unwrap_or_default()))
            .collect();
        without.insert(parent.clone(), BTreeSet::new());
        circles.extend(components(&without));
    }
    circles.sort_by_key(|circle| std::cmp::Reverse(circle.len()));
    circles
}

/// Strongly connected components of more than one file.
fn connected(imports: &Imports) -> Vec<Vec<Module>> {
    let reach: BTreeMap<_, _> =
        imports.keys().map(|module| (module, reached(module, imports))).collect();
    let meet = |a: &Module, b: &Module| {
        let sees = |from, to| reach.get(from).is_some_and(|seen| seen.contains(to));
        sees(a, b) && sees(b, a)
    };
    let mut circles: Vec<Vec<Module>> = Vec::new();
    for module in imports.keys() {
        match circles.iter_mut().find(|circle| circle.first().is_some_and(|a| meet(a, module))) {
            Some(circle) => circle.push(module.clone()),
            None => circles.push(vec![module.clone()]),
        }
    }
    circles.retain(|circle| circle.len() > 1);
    circles
}

/// What `from` imports, and what that imports, and so on.
fn reached<'a>(from: &'a Module, imports: &'a Imports) -> BTreeSet<&'a Module> {
    let mut seen = BTreeSet::new();
    let mut next = vec![from];
    while let Some(module) = next.pop() {
        let news = imports.get(module).into_iter().flatten();
        next.extend(news.filter(|to| imports.contains_key(*to) && seen.insert(*to)));
    }
    seen
}

#[cfg(test)]
mod tests;
