//! `quorate export` and `quorate restore`: out of a stopped node's data directory into an RDB file,
//! and from any Redis's RDB file into the first data directory of a new cluster.
//!
//! Neither needs a running node; both read and check everything before they claim success.

use super::file::WholeFile;
use super::progress::Progress;
use crate::arguments::Pairs;
use crate::console::{complain, print};
use quorate_engine::{Foreign, Report};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;

/// The values of exactly these options, in this order.
pub(super) fn wanted<const N: usize>(
    pairs: &Pairs,
    tool: &str,
    names: [&str; N],
) -> Result<[Option<String>; N], String> {
    if let Some((other, _)) = pairs.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        return Err(format!("{tool} does not know --{other}"));
    }
    Ok(names.map(|wanted| {
        pairs.iter().rev().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
    }))
}

/// `quorate export --data DIR --out FILE`.
pub(crate) fn export(pairs: &Pairs) -> Result<(), String> {
    let [data, out] = wanted(pairs, "export", ["data", "out"])?;
    let data = PathBuf::from(data.ok_or("of which node? give --data DIR")?);
    let out = PathBuf::from(out.ok_or("into which file? give --out FILE")?);
    if !data.is_dir() {
        return Err(format!("{} is no directory", data.display()));
    }
    let mut file = WholeFile::create(&out)?;
    let mut progress = Progress::new("export");
    let done =
        quorate_consensus::export(&data, &mut |piece| file.write(piece), &mut |done, total| {
            progress.step(done, total);
        });
    let done = done.map_err(|why| why.to_string())?;
    file.finish()?;
    progress.end(done.bytes);
    let (bytes, index) = (done.bytes, done.index);
    print(&format!("{}: {bytes} bytes, the state as of entry {index}\n", out.display()));
    if done.uncertain > 0 {
        print(&format!(
            "{} entries behind it are not known to be committed and are left out\n",
            done.uncertain
        ));
    }
    Ok(())
}

/// So many keys are named that were mended or left out; the rest are counted.
const NAMED_MAX: usize = 100;

/// `quorate restore --from FILE --data DIR [--strict] [--skip-unsupported]`.
pub(crate) fn restore(pairs: &Pairs) -> Result<(), String> {
    let names = ["from", "data", "strict", "skip-unsupported"];
    let [from, data, strict, skip] = wanted(pairs, "restore", names)?;
    let foreign =
        Foreign { strict: is_on(strict.as_deref())?, skip_unsupported: is_on(skip.as_deref())? };
    let from = PathBuf::from(from.ok_or("from which file? give --from FILE")?);
    let data = PathBuf::from(data.ok_or("into which directory? give --data DIR")?);
    let failed = |why: std::io::Error| format!("{}: {why}", from.display());
    let mut file = File::open(&from).map_err(failed)?;
    let total = file.metadata().map_err(failed)?.len();
    let mut progress = Progress::new("restore");
    let done = quorate_consensus::restore(
        &data,
        foreign,
        &mut |into| file.read(into),
        (total, &mut |done, total| progress.step(done, total)),
    )
    .map_err(|why| format!("{}: {why}", from.display()))?;
    progress.end(total);
    let told = told(&done.report);
    if !told.is_empty() {
        complain(&told);
    }
    print(&format!(
        "{}: {} keys, the first directory of cluster {}\n",
        data.display(),
        done.keys,
        done.cluster
    ));
    Ok(())
}

/// A switch is given alone, or as `yes` or `no`.
fn is_on(value: Option<&str>) -> Result<bool, String> {
    match value {
        None | Some("no") => Ok(false),
        Some("yes") => Ok(true),
        Some(other) => Err(format!("'{other}' is not understood: a switch has no value")),
    }
}

/// What was mended and left out, key by key, then in all.
fn told(report: &Report) -> String {
    let Report { notes, mended, dropped, unsupported, behind } = report;
    let mut text = String::new();
    for note in notes.iter().take(NAMED_MAX) {
        let _ = writeln!(text, "restore: {note}");
    }
    let more = (mended + dropped + unsupported).saturating_sub(NAMED_MAX as u64);
    if more > 0 {
        let _ = writeln!(text, "restore: and {more} more");
    }
    if mended + dropped + unsupported > 0 {
        let _ = writeln!(
            text,
            "restore: {mended} keys mended, {dropped} without elements left out, {unsupported} \
             values and data that have no place here left out"
        );
    }
    if *behind > 0 {
        let _ = writeln!(text, "restore: {behind} bytes behind the end of the file are ignored");
    }
    text
}
