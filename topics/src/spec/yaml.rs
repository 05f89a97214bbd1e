//! YAML text as a tree whose every node knows its place.
//!
//! Built from the parser's events, for a tree that keeps both of two equal keys: only then can
//! all of a file's problems be told at once. What topics.yaml has no use for (anchors, tags,
//! several documents) is refused here, so that nobody above has to think of it.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::problem::{Position, ProblemKind};

/// The form needs five; a file that nests deeper is not a topics.yaml.
const DEPTH_MAX: usize = 16;

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub at: Position,
    pub value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    /// `plain` is false for a value in quotes, which is text whatever it looks like.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// A key, where it stands, and its value. Equal keys are all kept.
#[derive(Debug)]
pub(super) struct Entry {
    pub key: String,
    pub key_at: Position,
    pub value: Node,
}

type Refused = (Position, ProblemKind);

/// The one document in `text`. A document without content is an empty scalar.
pub(super) fn tree(text: &str) -> Result<Node, Refused> {
    let mut builder = Builder { open: Vec::new(), root: None };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let info = error.info().to_owned();
            (Position { line: error.marker().line(), column: error.marker().col() + 1 }, ProblemKind::Syntax { info })
        })?;
        builder.take(event, position(span))?;
    }
    let nothing = || scalar(Position { line: 1, column: 1 }, String::new(), ScalarStyle::Plain);
    Ok(builder.root.unwrap_or_else(nothing))
}

fn position(span: Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn scalar(at: Position, text: String, style: ScalarStyle) -> Node {
    Node { at, value: Value::Scalar { text, plain: style == ScalarStyle::Plain } }
}

/// A mapping or sequence whose end has not come yet.
struct Open {
    node: Node,
    /// In a mapping: the key that waits for its value.
    key: Option<(String, Position)>,
}

struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), Refused> {
        match event {
            Event::Alias(_) => Err(unsupported(at, "an alias (`*name`)", "Write the value out in full")),
            Event::Scalar(_, _, anchor, _) | Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _)
                if anchor != 0 =>
            {
                Err(unsupported(at, "an anchor (`&name`)", "Write the value out in full where it is needed"))
            }
            Event::Scalar(_, _, _, Some(_)) | Event::SequenceStart(_, Some(_)) | Event::MappingStart(_, Some(_)) => {
                Err(unsupported(at, "a tag (`!type`)", "Write the value without it"))
            }
            Event::Scalar(text, style, ..) => self.put(scalar(at, text.into_owned(), style)),
            Event::SequenceStart(..) => self.enter(Node { at, value: Value::Sequence(Vec::new()) }),
            Event::MappingStart(..) => self.enter(Node { at, value: Value::Mapping(Vec::new()) }),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(done) => self.put(done.node),
                None => Ok(()),
            },
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(unsupported(at, "a second document (`---`)", "Keep one document in the file"))
            }
            Event::DocumentStart(_) | Event::DocumentEnd => Ok(()),
            Event::StreamStart | Event::StreamEnd | Event::Nothing => Ok(()),
        }
    }

    fn enter(&mut self, node: Node) -> Result<(), Refused> {
        if self.open.len() == DEPTH_MAX {
            return Err(unsupported(
                node.at,
                "more than 16 levels",
                "Compare it with the form in `millrace topics check --help`",
            ));
        }
        self.open.push(Open { node, key: None });
        Ok(())
    }

    fn put(&mut self, node: Node) -> Result<(), Refused> {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut parent.node.value {
            Value::Sequence(items) => items.push(node),
            Value::Mapping(entries) => match (parent.key.take(), node) {
                (Some((key, key_at)), value) => entries.push(Entry { key, key_at, value }),
                (None, Node { at, value: Value::Scalar { text, .. } }) => parent.key = Some((text, at)),
                (None, Node { at, .. }) => {
                    return Err(unsupported(at, "a list or a mapping as a key", "Write a name there"));
                }
            },
            Value::Scalar { .. } => {}
        }
        Ok(())
    }
}

fn unsupported(at: Position, what: &'static str, instead: &'static str) -> Refused {
    (at, ProblemKind::Unsupported { what, instead })
}
