//! From (desired, observed) to the plan. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use super::{
    Action, Grow, Plan, PlanOptions, Refusal, RefusalKind, SettingChange, SettingsChange, TopicPlan, UnmanagedTopic,
};
use crate::name::{Partitions, TopicName};
use crate::observed::{Observed, ObservedTopic};
use crate::settings::{self, MIN_INSYNC_REPLICAS, OWNED_BY_REASSIGNMENT};
use crate::spec::{Origin, Position, Spec, TopicSpec};

/// The plan that leads from what is observed to what is declared, within what is allowed by name.
pub fn plan(spec: &Spec, observed: &Observed, options: &PlanOptions) -> Plan {
    let mut topics: Vec<TopicPlan> = spec
        .topics
        .iter()
        .map(|topic| match observed.topics.get(&topic.name) {
            None => create(spec, topic, observed),
            Some(existing) => change(spec, topic, existing, observed, options),
        })
        .collect();
    topics.extend(unknown_to_grow(spec, options));
    topics.extend(options.delete.iter().map(|name| delete(spec, name, observed)));
    let unmanaged = observed
        .topics
        .iter()
        .filter(|(name, _)| spec.topic(name.as_str()).is_none() && !options.delete.contains(name))
        .map(|(name, topic)| UnmanagedTopic {
            topic: name.clone(),
            partitions: topic.partitions,
            durability: topic.durability,
        })
        .collect();
    Plan { file: spec.file.clone(), brokers: observed.brokers.clone(), topics, unmanaged }
}

fn create(spec: &Spec, topic: &TopicSpec, observed: &Observed) -> TopicPlan {
    let refusals: Vec<Refusal> = factor_above_brokers(spec, topic, observed).into_iter().collect();
    let action =
        Action::Create { partitions: topic.partitions, settings: topic.settings(), why: created_because(spec, topic) };
    TopicPlan {
        topic: topic.name.clone(),
        durability: Some(topic.durability),
        observed_durability: None,
        action: unless(refusals, action),
        notes: Vec::new(),
    }
}

fn created_because(spec: &Spec, topic: &TopicSpec) -> String {
    let Position { line, .. } = topic.at.topic;
    match &topic.origin {
        Origin::Declared => format!("{}:{line} declares it, the cluster does not have it", spec.file.display()),
        Origin::DeadLetterOf(other) => format!(
            "dead_letter of {other} names it ({}:{line}), the cluster does not have it; it has no entry under topics, \
             so it gets one partition, the durability of {other} and 30 days",
            spec.file.display()
        ),
    }
}

fn change(
    spec: &Spec,
    topic: &TopicSpec,
    existing: &ObservedTopic,
    observed: &Observed,
    options: &PlanOptions,
) -> TopicPlan {
    let mut refusals = Vec::new();
    let (declared, has) = (topic.durability.replication_factor, existing.durability.replication_factor);
    if declared != has {
        refusals.extend(factor_above_brokers(spec, topic, observed));
        let kind = RefusalKind::FactorChange { declared, observed: has };
        refusals.push(refusal(spec, topic, "replication_factor", topic.at.replication_factor, kind));
    }
    let grows = topic.partitions > existing.partitions;
    refusals.extend(
        partitions_refused(topic, existing.partitions, options)
            .map(|kind| refusal(spec, topic, "partitions", topic.at.partitions, kind)),
    );
    if grows && declared == has {
        refusals.extend(factor_above_brokers(spec, topic, observed));
    }
    let grow = grows.then(|| Grow { from: existing.partitions, to: topic.partitions, why: grown_because(spec, topic) });
    let settings = settings_change(&spec.file, topic, existing);
    let action = if grow.is_none() && settings.is_none() { Action::Same } else { Action::Change { grow, settings } };
    TopicPlan {
        topic: topic.name.clone(),
        durability: Some(topic.durability),
        observed_durability: Some(existing.durability),
        action: unless(refusals, action),
        notes: notes(topic, existing),
    }
}

/// The first reason against the declared number of partitions.
fn partitions_refused(topic: &TopicSpec, observed: Partitions, options: &PlanOptions) -> Option<RefusalKind> {
    let declared = topic.partitions;
    if declared < observed {
        return Some(RefusalKind::FewerPartitions { declared, observed });
    }
    if declared == observed || topic.key.is_none() {
        return None;
    }
    if !declared.get().is_multiple_of(observed.get()) {
        return Some(RefusalKind::NotAMultiple { declared, observed });
    }
    let allowed = options.grow_keyed.contains(&topic.name);
    (!allowed).then(|| RefusalKind::GrowsKeyedTopic { topic: topic.name.clone(), declared, observed })
}

fn grown_because(spec: &Spec, topic: &TopicSpec) -> String {
    let declared = format!("{}:{} declares it", spec.file.display(), topic.at.partitions.line);
    if topic.key.is_none() {
        return declared;
    }
    format!(
        "{declared}, --grow-keyed allows it; each partition splits, none mix. Have the publishers stopped and the topic \
         drained before: fences and balances go by partition, and order holds within one only. What is parked meanwhile is \
         applied within a minute of what it waits for"
    )
}

fn settings_change(file: &Path, topic: &TopicSpec, existing: &ObservedTopic) -> Option<SettingsChange> {
    let mut all = topic.settings();
    for name in OWNED_BY_REASSIGNMENT {
        if let Some(value) = existing.settings.get(name) {
            all.entry(name.to_owned()).or_insert_with(|| value.clone());
        }
    }
    let changed = all.iter().filter_map(|(name, to)| {
        let from = existing.settings.get(name);
        let same = from.is_some_and(|from| settings::canonical(name, from).as_ref() == Ok(to));
        (!same).then(|| SettingChange {
            name: name.clone(),
            from: from.cloned(),
            to: Some(to.clone()),
            why: setting_because(file, topic, existing, name),
        })
    });
    let removed =
        existing.settings.iter().filter(|(name, _)| !all.contains_key(*name)).map(|(name, from)| SettingChange {
            name: name.clone(),
            from: Some(from.clone()),
            to: None,
            why: format!("{} does not declare it: back to the broker's default", file.display()),
        });
    let changes: Vec<SettingChange> = changed.chain(removed).collect();
    (!changes.is_empty()).then_some(SettingsChange { changes, all })
}

fn setting_because(file: &Path, topic: &TopicSpec, existing: &ObservedTopic, name: &str) -> String {
    let declared = format!("{} declares it", file.display());
    if name == MIN_INSYNC_REPLICAS && existing.durability.is_weaker_than(topic.durability) {
        return format!("{declared}; today the topic is weaker than declared");
    }
    match existing.settings.get(name) {
        Some(_) => declared,
        None => format!("{declared}; today the broker's default holds, which may change"),
    }
}

fn notes(topic: &TopicSpec, existing: &ObservedTopic) -> Vec<String> {
    let mut notes = Vec::new();
    if existing.durability.is_weaker_than(topic.durability) {
        notes.push(format!("weaker than declared today: {}", existing.durability));
    }
    let of = existing.partitions;
    if existing.leaderless > 0 {
        notes.push(format!(
            "{} of {of} have no leader: they take no record until a broker returns",
            existing.leaderless
        ));
    }
    if existing.under_replicated > 0 {
        notes.push(format!(
            "{} of {of} have replicas that are not in sync: until they are, the topic survives less",
            existing.under_replicated
        ));
    }
    notes
}

/// A misspelt name in the option must not look as if it had been followed.
fn unknown_to_grow<'a>(spec: &'a Spec, options: &'a PlanOptions) -> impl Iterator<Item = TopicPlan> + 'a {
    options.grow_keyed.iter().filter(|name| spec.topic(name.as_str()).is_none()).map(|name| {
        by_option(spec, name, Action::Same, Some(("--grow-keyed", RefusalKind::GrowUndeclared)), Vec::new())
    })
}

fn delete(spec: &Spec, name: &TopicName, observed: &Observed) -> TopicPlan {
    let refused = if spec.topic(name.as_str()).is_some() {
        Some(("--delete", RefusalKind::DeleteDeclared))
    } else if name.is_internal() {
        Some(("--delete", RefusalKind::DeleteInternal))
    } else {
        None
    };
    match observed.topics.get(name) {
        // Not a refusal: a second run with the same options has nothing left to do.
        None => by_option(spec, name, Action::Same, refused, vec!["not in the cluster: nothing to delete".to_owned()]),
        Some(existing) => {
            let why = "--delete names it".to_owned();
            let action = Action::Delete { records: existing.records, why };
            let plan = by_option(spec, name, action, refused, Vec::new());
            TopicPlan { observed_durability: Some(existing.durability), ..plan }
        }
    }
}

fn by_option(
    spec: &Spec,
    name: &TopicName,
    action: Action,
    refused: Option<(&str, RefusalKind)>,
    notes: Vec<String>,
) -> TopicPlan {
    let refusals = refused.into_iter().map(|(option, kind)| Refusal {
        file: spec.file.clone(),
        at: None,
        field: format!("{option} {name}"),
        kind,
    });
    TopicPlan {
        topic: name.clone(),
        durability: None,
        observed_durability: None,
        action: unless(refusals.collect(), action),
        notes,
    }
}

fn factor_above_brokers(spec: &Spec, topic: &TopicSpec, observed: &Observed) -> Option<Refusal> {
    let (factor, brokers) = (topic.durability.replication_factor, observed.brokers.len());
    let kind = RefusalKind::FactorAboveBrokers { factor, brokers };
    (usize::from(factor.get()) > brokers)
        .then(|| refusal(spec, topic, "replication_factor", topic.at.replication_factor, kind))
}

fn refusal(spec: &Spec, topic: &TopicSpec, field: &str, at: Position, kind: RefusalKind) -> Refusal {
    Refusal { file: spec.file.clone(), at: Some(at), field: topic.field(field), kind }
}

fn unless(refusals: Vec<Refusal>, action: Action) -> Action {
    if refusals.is_empty() { action } else { Action::Refused { refusals } }
}

/// Whether the cluster shows what a topic's part of a plan was to bring about.
pub(crate) fn is_done(plan: &TopicPlan, observed: Option<&ObservedTopic>) -> bool {
    let has = |observed: &ObservedTopic, settings: &BTreeMap<String, String>| {
        settings.iter().all(|(name, value)| {
            observed.settings.get(name).is_some_and(|has| settings::canonical(name, has).as_ref() == Ok(value))
        }) && observed.settings.len() == settings.len()
    };
    match (&plan.action, observed) {
        (Action::Same | Action::Refused { .. }, _) | (Action::Delete { .. }, None) => true,
        (Action::Create { .. } | Action::Change { .. }, None) | (Action::Delete { .. }, Some(_)) => false,
        (Action::Create { partitions, settings, .. }, Some(observed)) => {
            observed.partitions == *partitions && observed.leaderless == 0 && has(observed, settings)
        }
        (Action::Change { grow, settings }, Some(observed)) => {
            grow.as_ref().is_none_or(|grow| observed.partitions == grow.to && observed.leaderless == 0)
                && settings.as_ref().is_none_or(|settings| has(observed, &settings.all))
        }
    }
}
