//! `quorate export` and `quorate restore`: out of a stopped node's data directory into an RDB file,
//! and from any Redis's RDB file into the first data directory of a new cluster.

use super::file::WholeFile;
use super::progress::Progress;
use crate::cli::{Pairs, print};
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
        })?;
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

/// `quorate restore --from FILE --data DIR`.
pub(crate) fn restore(pairs: &Pairs) -> Result<(), String> {
    let [from, data] = wanted(pairs, "restore", ["from", "data"])?;
    let from = PathBuf::from(from.ok_or("from which file? give --from FILE")?);
    let data = PathBuf::from(data.ok_or("into which directory? give --data DIR")?);
    let failed = |why: std::io::Error| format!("{}: {why}", from.display());
    let mut file = File::open(&from).map_err(failed)?;
    let total = file.metadata().map_err(failed)?.len();
    let mut progress = Progress::new("restore");
    let done = quorate_consensus::restore(
        &data,
        &mut |into| file.read(into),
        (total, &mut |done, total| progress.step(done, total)),
    )
    .map_err(|why| format!("{}: {why}", from.display()))?;
    progress.end(total);
    print(&format!(
        "{}: {} keys, the first directory of cluster {}\n",
        data.display(),
        done.keys,
        done.cluster
    ));
    Ok(())
}
