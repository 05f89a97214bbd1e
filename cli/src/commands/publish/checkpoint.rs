//! The checkpoint: up to which line of which input everything was acknowledged, kept in a small file.
//!
//! It is only ever replaced whole, so that a kill at any moment leaves the old one or the new one.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::lines::{HEAD_BYTES_MAX, Mark};

const VERSION: u32 = 1;

/// How far an input was published.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    version: u32,
    /// The input's name, for people.
    pub input: String,
    /// The topic that it was published to.
    pub topic: String,
    /// The cluster by its own id, if it told it: another one has not got the events.
    pub cluster: Option<String>,
    /// Kafka's id of the topic, if it told it: one that was made again has not got the events.
    #[serde(default)]
    pub topic_id: Option<String>,
    /// Lines up to which each is acknowledged or skipped.
    pub line: u64,
    /// Bytes of the input up to there.
    pub offset: u64,
    /// Bytes of the file of skipped lines up to there.
    pub skipped_bytes: u64,
    /// The beginning of the input, to know it again by.
    pub fingerprint: Fingerprint,
}

/// A hash of the first bytes of an input.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    bytes: usize,
    blake3: String,
}

impl Fingerprint {
    /// Of the bytes before the offset, as far as the head of the input is remembered.
    fn of(head: &[u8], offset: u64) -> Fingerprint {
        let bytes = usize::try_from(offset).unwrap_or(usize::MAX).min(HEAD_BYTES_MAX).min(head.len());
        Fingerprint { bytes, blake3: blake3::hash(&head[..bytes]).to_hex().to_string() }
    }
}

impl Checkpoint {
    /// The checkpoint of an input of which nothing is published yet.
    pub fn new(input: String, topic: String, topic_id: Option<String>, cluster: Option<String>) -> Checkpoint {
        let fingerprint = Fingerprint::of(&[], 0);
        Checkpoint {
            version: VERSION,
            input,
            topic,
            topic_id,
            cluster,
            line: 0,
            offset: 0,
            skipped_bytes: 0,
            fingerprint,
        }
    }

    /// The same input at a mark, known by its first bytes.
    pub fn at(&self, mark: Mark, skipped_bytes: u64, head: &[u8]) -> Checkpoint {
        Checkpoint {
            line: mark.line,
            offset: mark.offset,
            skipped_bytes,
            fingerprint: Fingerprint::of(head, mark.offset),
            ..self.clone()
        }
    }

    /// The place from which to go on.
    pub fn mark(&self) -> Mark {
        Mark { line: self.line, offset: self.offset }
    }

    /// Where the checkpoint of a file is kept unless the caller says otherwise.
    pub fn default_path(input: &Path) -> PathBuf {
        with_suffix(input, ".checkpoint")
    }

    /// The checkpoint in a file, none if there is no file.
    pub fn load(path: &Path) -> anyhow::Result<Option<Checkpoint>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("cannot read the checkpoint {}", path.display())),
        };
        let checkpoint: Checkpoint = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is not a checkpoint of `millrace publish`: name another by --checkpoint, or delete it to start over",
                path.display()
            )
        })?;
        if checkpoint.version != VERSION {
            bail!(
                "the checkpoint {} has version {}, this build knows version {VERSION}: delete it to start over",
                path.display(),
                checkpoint.version
            );
        }
        Ok(Some(checkpoint))
    }

    /// Where the file is written before it takes the place of the one before. Each process has its own: of two that publish
    /// one file, the last to write is who is resumed, and either mark is right.
    pub fn new_path(path: &Path) -> PathBuf {
        with_suffix(path, &format!(".new-{}", std::process::id()))
    }

    /// Replaces the file.
    pub fn save(&self, path: &Path) -> anyhow::Result<()> {
        self.write(path, |new| fs::rename(new, path))
    }

    /// Whether the file could be replaced: what stands there stays.
    pub fn rehearse(&self, path: &Path) -> anyhow::Result<()> {
        self.write(path, |new| fs::remove_file(new))
    }

    fn write(&self, path: &Path, then: impl FnOnce(&Path) -> io::Result<()>) -> anyhow::Result<()> {
        let new = Checkpoint::new_path(path);
        let write = || -> io::Result<()> {
            let mut file = File::create(&new)?;
            file.write_all(&serde_json::to_vec_pretty(self)?)?;
            file.write_all(b"\n")?;
            file.sync_data()
        };
        write().and_then(|()| then(&new)).map_err(|error| {
            // Half a file helps nobody, and a full disk needs the room.
            let _ = fs::remove_file(&new);
            anyhow::Error::new(error).context(format!("cannot write the checkpoint {}", path.display()))
        })
    }

    /// Refuses to go on with another topic.
    pub fn check_topic(&self, path: &Path, topic: &str) -> anyhow::Result<()> {
        if self.topic == topic {
            return Ok(());
        }
        bail!(
            "the checkpoint {} is of topic {}, not of {topic}: publish to that topic, or leave out --resume to start over",
            path.display(),
            self.topic
        )
    }

    /// Refuses to go on with a topic that was deleted and made again.
    pub fn check_topic_id(&self, path: &Path, topic_id: Option<&str>) -> anyhow::Result<()> {
        match (self.topic_id.as_deref(), topic_id) {
            (Some(then), Some(now)) if then != now => bail!(
                "the checkpoint {} is of topic {} as it was before it was deleted and made again, and this one has not got what \
                 came before: leave out --resume to publish all of it",
                path.display(),
                self.topic
            ),
            _ => Ok(()),
        }
    }

    /// Refuses to go on with another cluster, which has not got what came before.
    pub fn check_cluster(&self, path: &Path, cluster: Option<&str>) -> anyhow::Result<()> {
        match (self.cluster.as_deref(), cluster) {
            (Some(then), Some(now)) if then != now => bail!(
                "the checkpoint {} is of the Kafka cluster {then}, but this is the cluster {now}, which has not got the \
                 first {} lines: leave out --resume to start over",
                path.display(),
                self.line
            ),
            _ => Ok(()),
        }
    }

    /// Refuses to go on with another input.
    pub fn check_input(&self, path: &Path, input: &str, head: &[u8]) -> anyhow::Result<()> {
        if Fingerprint::of(head, self.offset) == self.fingerprint {
            return Ok(());
        }
        bail!(
            "the checkpoint {} is of another input ({}): {input} begins otherwise or is shorter than the {} bytes that \
             were published; name the right file, or leave out --resume to start over",
            path.display(),
            self.input,
            self.offset
        )
    }
}

/// The path with something behind its last character: a file may be called `events.ndjson`.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(offset: u64, head: &[u8]) -> Checkpoint {
        Checkpoint::new("in.ndjson".into(), "payment-events".into(), None, None).at(Mark { line: 3, offset }, 7, head)
    }

    fn scratch(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("millrace-checkpoint-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory for scratch files");
        directory.join(name)
    }

    #[test]
    fn what_was_saved_is_loaded_and_the_new_one_replaces_the_old_one_whole() {
        let path = scratch("round.checkpoint");
        let mut checkpoint = at(10, b"0123456789abc");
        checkpoint.save(&path).expect("writable");
        checkpoint.line = 4;
        checkpoint.save(&path).expect("writable");
        assert_eq!(Checkpoint::load(&path).expect("readable"), Some(checkpoint));
        assert!(!Checkpoint::new_path(&path).exists());
        fs::remove_file(&path).expect("it is there");
        assert_eq!(Checkpoint::load(&path).expect("no file is no checkpoint"), None);
    }

    #[test]
    fn a_file_that_is_not_a_checkpoint_is_refused_by_its_name() {
        let path = scratch("broken.checkpoint");
        fs::write(&path, "{\"line\": 5").expect("writable");
        let refusal = Checkpoint::load(&path).expect_err("not a checkpoint").to_string();
        assert!(refusal.contains("broken.checkpoint is not a checkpoint"), "{refusal}");
        fs::remove_file(&path).expect("it is there");
    }

    #[test]
    fn an_input_that_has_grown_is_the_same_and_one_that_changed_or_shrank_is_not() {
        let path = Path::new("c");
        let checkpoint = at(10, b"0123456789");
        checkpoint.check_input(path, "in", b"0123456789and more").expect("it has grown");
        for other in [b"0123456789".split_at(9).0, b"x123456789", b""] {
            let refusal = checkpoint.check_input(path, "in", other).expect_err("another input").to_string();
            assert!(refusal.contains("of another input"), "{refusal}");
        }
    }

    #[test]
    fn another_topic_and_another_cluster_are_refused() {
        let mut checkpoint = at(0, b"");
        checkpoint.check_topic(Path::new("c"), "payment-events").expect("the same topic");
        checkpoint.check_topic(Path::new("c"), "other").expect_err("another topic");
        checkpoint.cluster = Some("A".into());
        checkpoint.topic_id = Some("1".into());
        checkpoint.check_topic_id(Path::new("c"), Some("1")).expect("the same topic");
        checkpoint.check_topic_id(Path::new("c"), None).expect("a cluster that tells no id");
        checkpoint.check_topic_id(Path::new("c"), Some("2")).expect_err("made again");
        checkpoint.check_cluster(Path::new("c"), Some("A")).expect("the same cluster");
        checkpoint.check_cluster(Path::new("c"), None).expect("a cluster that tells no id");
        checkpoint.check_cluster(Path::new("c"), Some("B")).expect_err("another cluster");
    }
}
