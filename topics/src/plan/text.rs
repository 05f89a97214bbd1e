//! The plan as a person reads it.

use std::fmt;

use super::{Action, Plan, SettingChange, Summary, TopicPlan, UnmanagedTopic};
use crate::settings::readable;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let brokers: Vec<String> = self.brokers.iter().map(ToString::to_string).collect();
        writeln!(f, "{} against {} brokers: {}", self.file.display(), brokers.len(), brokers.join(", "))?;
        for topic in &self.topics {
            writeln!(f)?;
            topic.fmt(f)?;
        }
        if !self.unmanaged.is_empty() {
            writeln!(f, "\nNot in {}, left alone:", self.file.display())?;
            for topic in &self.unmanaged {
                writeln!(f, "  {topic}")?;
            }
        }
        writeln!(f)?;
        self.summary().fmt(f)
    }
}

impl fmt::Display for TopicPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.topic;
        match &self.action {
            Action::Create { partitions, settings, why } => {
                writeln!(f, "+ {name}: create, because {why}")?;
                writeln!(f, "    {partitions}")?;
                for (setting, value) in settings {
                    writeln!(f, "    {setting} = {}", readable(setting, value))?;
                }
            }
            Action::Change { grow, settings } => {
                writeln!(f, "~ {name}: change")?;
                if let Some(grow) = grow {
                    writeln!(f, "    partitions: {} -> {}, because {}", grow.from.get(), grow.to.get(), grow.why)?;
                }
                for change in settings.iter().flat_map(|settings| &settings.changes) {
                    writeln!(f, "    {change}")?;
                }
            }
            Action::Delete { records, why } => {
                writeln!(f, "- {name}: delete, because {why}")?;
                match records {
                    Some(records) => writeln!(f, "    {records} records will be lost")?,
                    None => writeln!(f, "    its records will be lost; they could not be counted")?,
                }
            }
            Action::Same => writeln!(f, "= {name}: nothing to do")?,
            Action::Refused { refusals } => {
                writeln!(f, "! {name}: refused")?;
                for refusal in refusals {
                    writeln!(f, "    {refusal}")?;
                }
            }
        }
        if let Some(durability) = self.durability {
            let label = if matches!(self.action, Action::Refused { .. }) { "declared: " } else { "" };
            writeln!(f, "    {label}{durability}")?;
        }
        for note in &self.notes {
            writeln!(f, "    note: {note}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SettingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = |value: &Option<String>| match value {
            Some(value) => readable(&self.name, value),
            None => "(broker's default)".to_owned(),
        };
        write!(f, "{}: {} -> {}, because {}", self.name, side(&self.from), side(&self.to), self.why)
    }
}

impl fmt::Display for UnmanagedTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {}", self.topic, self.partitions, self.durability)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { create, change, delete, same, refused, unmanaged } = self;
        write!(
            f,
            "Plan: {create} to create, {change} to change, {delete} to delete, {same} the same, {refused} refused"
        )?;
        if *unmanaged > 0 {
            write!(f, ", {unmanaged} not in the file")?;
        }
        Ok(())
    }
}
