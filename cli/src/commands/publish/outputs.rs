//! Where a run writes: never over what it reads, nor twice into one file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::ensure;

use super::checkpoint::Checkpoint;

/// A file that may not be there yet.
#[derive(PartialEq, Eq)]
enum Place {
    /// Device and inode: the same under each of its names.
    Standing(u64, u64),
    /// Its name, in a directory without links.
    Missing(PathBuf),
}

fn place(path: &Path) -> Place {
    if let Ok(found) = fs::metadata(path) {
        return Place::Standing(found.dev(), found.ino());
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    Place::Missing(directory.join(path.file_name().unwrap_or_default()))
}

/// Refuses to write over the input, or two things into one file. To be asked before anything is opened to be written.
pub fn check(input: &Path, checkpoint: Option<&Path>, skipped: Option<&Path>) -> anyhow::Result<()> {
    let input = if input.as_os_str() == "-" { Path::new("/dev/stdin") } else { input };
    let checkpoint_new = checkpoint.map(Checkpoint::new_path);
    let outputs = [("--checkpoint", checkpoint), ("--checkpoint", checkpoint_new.as_deref()), ("--skipped", skipped)];
    let read = place(input);
    let mut written = Vec::new();
    for (option, path) in outputs.into_iter().filter_map(|(option, path)| Some((option, path?))) {
        let (shown, place) = (path.display(), place(path));
        let is_replaceable = fs::metadata(path).map_or(true, |found| found.is_file());
        ensure!(is_replaceable, "{option}: {shown} is not a regular file: name a file that may be replaced");
        ensure!(place != read, "{option}: {shown} is the input itself, which would be overwritten: name another file");
        ensure!(!written.contains(&place), "{option}: {shown} is the file of --checkpoint too: name another one");
        written.push(place);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(input: &Path, checkpoint: &Path, skipped: &Path) -> String {
        check(input, Some(checkpoint), Some(skipped)).map_or_else(|error| error.to_string(), |()| String::new())
    }

    #[test]
    fn nothing_is_written_over_the_input_under_any_of_its_names_nor_two_things_into_one_file() {
        let directory = std::env::temp_dir().join(format!("millrace-outputs-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for scratch files");
        let of = |name: &str| directory.join(name);
        let (input, other, third) = (of("in.ndjson"), of("a"), of("b"));
        fs::write(&input, "{}").expect("a scratch file");
        fs::hard_link(&input, of("hard")).expect("a hard link");
        std::os::unix::fs::symlink(&input, of("soft")).expect("a symbolic link");
        let next_checkpoint = Checkpoint::new_path(&of("c"));
        fs::write(&next_checkpoint, "").expect("a scratch file");

        assert_eq!(refusal(&input, &other, &third), "");
        for name in ["in.ndjson", "hard", "soft", "./in.ndjson"] {
            assert!(refusal(&input, &of(name), &third).contains("--checkpoint"), "{name}");
            assert!(refusal(&input, &other, &of(name)).contains("is the input itself"), "{name}");
        }
        let is_the_input = format!("{} is the input itself", next_checkpoint.display());
        assert!(refusal(&next_checkpoint, &of("c"), &third).contains(&is_the_input));
        assert!(refusal(&input, &other, &directory.join(".").join("a")).contains("--checkpoint too"));
        assert!(refusal(&input, &other, Path::new("/dev/null")).contains("not a regular file"));
        assert!(refusal(&input, &directory, &third).contains("not a regular file"));
        fs::remove_dir_all(&directory).expect("the scratch files go");
    }
}
