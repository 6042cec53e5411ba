//! IAM policies in files: whether they allow what a role needs on this lake, and nothing beyond it.
//!
//! What a role needs is what `docs/iam/` says, with this lake's names in place of the words in capitals; a test of
//! `stedi-catalog` compares those files with the requests that our code makes.

mod document;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::str::FromStr;

use stedi_lake::LandingTable;
use stedi_store::absolute;

use self::document::{DocumentError, Right, rights};
use super::Finding;
use crate::args::DoctorCommand;

/// The words in capitals whose names follow from the lake.
const OF_LAKE: [&str; 2] = ["BUCKET", "PREFIX"];

/// The other words in capitals: a policy may have any name in their place.
const WORDS: [&str; 5] = ["REGION", "ACCOUNT", "WORKGROUP", "RESULTS", "DATABASE"];

/// How many rights a finding names.
const NAMED: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Coordinator,
    Worker,
    Reader,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Worker => "worker",
            Self::Reader => "reader",
        }
    }

    /// The least that it needs, in words.
    fn least(self) -> &'static str {
        match self {
            Self::Coordinator => include_str!("../../../docs/iam/coordinator.json"),
            Self::Worker => include_str!("../../../docs/iam/worker.json"),
            Self::Reader => include_str!("../../../docs/iam/reader.json"),
        }
    }
}

/// `--policy ROLE=FILE`.
#[derive(Clone, Debug)]
pub(crate) struct PolicyFile {
    role: Role,
    path: PathBuf,
}

impl FromStr for PolicyFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (role, path) = text.split_once('=').ok_or("give a role and a file, as in worker=worker.json")?;
        let known = [Role::Coordinator, Role::Worker, Role::Reader].into_iter().find(|known| known.name() == role);
        let role = known.ok_or_else(|| format!("there is no role {role}: name coordinator, worker or reader"))?;
        Ok(Self { role, path: path.into() })
    }
}

/// The bucket of an [absolute] `s3://` URI, and the path in it: nothing, or with a `/` behind it.
#[derive(Clone, Debug)]
struct Place {
    bucket: String,
    prefix: String,
}

impl Place {
    fn of_uri(uri: &str) -> Option<Self> {
        let rest = uri.strip_prefix("s3://")?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Some(Self { bucket: bucket.to_owned(), prefix })
    }
}

/// What the roles are to work with.
#[derive(Clone, Debug)]
struct Scope {
    lake: Place,
    /// Where landing is, if not in the lake.
    landing: Vec<Place>,
    database: Option<String>,
}

/// A finding for each policy that is named.
pub(super) fn examine(args: &DoctorCommand) -> Vec<Finding> {
    let scope = scope(args);
    let finding = |policy: &PolicyFile| {
        let check = format!("policy of the {}", policy.role.name());
        let Some(scope) = &scope else {
            return Finding::wrong(check, "the lake is not in S3: there is nothing to allow");
        };
        let path = policy.path.display();
        let text = match fs::read_to_string(&policy.path) {
            Ok(text) => text,
            Err(error) => return Finding::wrong(check, format!("{path} cannot be read: {error}")),
        };
        match judge(policy.role, &text, scope) {
            Ok(verdict) if verdict.is_empty() => {
                Finding::ok(check, format!("{path} allows what is needed here, and no more"))
            }
            Ok(verdict) => Finding::wrong(check, format!("{path} {}", verdict.join("; it "))),
            Err(error) => Finding::wrong(check, format!("{path}: {error}")),
        }
    };
    args.policy.iter().map(finding).collect()
}

fn scope(args: &DoctorCommand) -> Option<Scope> {
    let place = |uri: &str| Place::of_uri(&absolute(uri).ok()?);
    let folders = args.landing.folders();
    let elsewhere = LandingTable::ALL.iter().flat_map(|table| &folders[table]);
    Some(Scope {
        lake: place(&args.lake)?,
        landing: elsewhere.filter_map(|uri| place(uri)).collect(),
        database: args.catalog.published_to().map(str::to_owned),
    })
}

/// What is wrong with the policy `text`; nothing if it allows just what `role` needs.
fn judge(role: Role, text: &str, scope: &Scope) -> Result<Vec<String>, DocumentError> {
    let given = rights(text)?;
    let is_left = |word: &&&str| given.iter().any(|right| right.resource.split([':', '/']).any(|part| part == **word));
    let left: Vec<_> = OF_LAKE.iter().chain(&WORDS).filter(is_left).copied().collect();
    if !left.is_empty() {
        return Ok(vec![format!("still has {}: put your names in their place", left.join(", "))]);
    }
    let needed = with_names(needed(role, scope)?, &given);
    let lacking = needed.iter().filter(|need| !given.iter().any(|right| right.covers(need)));
    let beyond = given.iter().filter(|right| !needed.iter().any(|need| need.covers(right)));
    let mut verdict = Vec::new();
    verdict.extend(named(lacking).map(|rights| format!("lacks {rights}")));
    verdict.extend(named(beyond).map(|rights| format!("allows more than is needed here: {rights}")));
    Ok(verdict)
}

fn named<'a>(rights: impl Iterator<Item = &'a Right>) -> Option<String> {
    let rights: Vec<_> = rights.map(Right::to_string).collect();
    let more = rights.len().saturating_sub(NAMED);
    let text = rights.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match (rights.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(text),
        (false, more) => Some(format!("{text}, and {more} more")),
    }
}

/// What `role` needs, with the names that are known.
fn needed(role: Role, scope: &Scope) -> Result<Vec<Right>, DocumentError> {
    let Scope { lake, landing, database } = scope;
    let mut needed = rights(role.least())?;
    if database.is_none() && role == Role::Coordinator {
        needed.retain(|right| !right.action.starts_with("glue:"));
    }
    for right in &mut needed {
        let resource = right.resource.replace("PREFIX/", &lake.prefix).replace("BUCKET", &lake.bucket);
        right.resource = match database {
            Some(database) => resource.replace("DATABASE", database),
            None => resource,
        };
    }
    if role != Role::Reader {
        for Place { bucket, prefix } in landing {
            let list = Right { action: "s3:ListBucket".to_owned(), resource: format!("arn:aws:s3:::{bucket}") };
            let get = Right { action: "s3:GetObject".to_owned(), resource: format!("arn:aws:s3:::{bucket}/{prefix}*") };
            needed.extend([list, get]);
        }
    }
    Ok(needed)
}

/// Puts in place of the words that are left in `needed` what a policy has there, if it is the same everywhere.
fn with_names(mut needed: Vec<Right>, given: &[Right]) -> Vec<Right> {
    let mut names = BTreeMap::new();
    // a bucket of which something is needed is not the bucket of results
    let unknown = |right: &&Right| !needed.iter().any(|need| need.covers(right));
    for right in given.iter().filter(unknown) {
        for (word, name) in needed.iter().filter_map(|need| words(&need.resource, &right.resource)).flatten() {
            names.entry(word).or_insert(name);
        }
    }
    for need in &mut needed {
        for (word, name) in &names {
            need.resource = need.resource.replace(word, name);
        }
    }
    needed
}

/// The words of `pattern` and what `resource` has in their places; `None` if it has another form, or no names there.
fn words<'a>(pattern: &str, resource: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
    let (mut pattern, mut resource) = (pattern, resource);
    let mut found = Vec::new();
    while let Some((at, word)) = WORDS.iter().filter_map(|word| Some((pattern.find(word)?, *word))).min() {
        resource = resource.strip_prefix(&pattern[..at])?;
        pattern = &pattern[at + word.len()..];
        let (name, rest) = resource.split_at(resource.find([':', '/']).unwrap_or(resource.len()));
        if name.is_empty() || name.contains(['*', '?']) {
            return None;
        }
        found.push((word, name));
        resource = rest;
    }
    (pattern == resource).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(uri: &str, database: Option<&str>) -> Scope {
        let lake = Place::of_uri(uri).expect("an S3 URI");
        Scope { lake, landing: Vec::new(), database: database.map(str::to_owned) }
    }

    /// The file of a role, as somebody would fill it in.
    fn filled(role: Role) -> String {
        let names = [
            ("PREFIX", "steps"),
            ("BUCKET", "lake"),
            ("REGION", "eu-central-1"),
            ("ACCOUNT", "123456789012"),
            ("DATABASE", "stedi"),
            ("WORKGROUP", "science"),
            ("RESULTS", "answers"),
        ];
        names.iter().fold(role.least().to_owned(), |text, (word, name)| text.replace(word, name))
    }

    fn verdict(role: Role, text: &str) -> String {
        judge(role, text, &scope("s3://lake/steps", Some("stedi"))).expect("a policy").join("; ")
    }

    #[test]
    fn the_files_of_the_project_are_right_once_they_are_filled_in() {
        for role in [Role::Coordinator, Role::Worker, Role::Reader] {
            assert_eq!(verdict(role, &filled(role)), "", "{}", role.name());
            assert!(verdict(role, role.least()).starts_with("still has BUCKET, PREFIX"), "{}", role.name());
        }
        let root = filled(Role::Worker).replace("steps/", "");
        assert!(judge(Role::Worker, &root, &scope("s3://lake", None)).expect("a policy").is_empty());
    }

    #[test]
    fn what_is_lacking_is_named() {
        let without = filled(Role::Coordinator).replace(r#""s3:PutObject", "#, "");
        assert!(
            verdict(Role::Coordinator, &without).starts_with("lacks s3:PutObject on arn:aws:s3:::lake/steps/_stedi/*")
        );
        let elsewhere = filled(Role::Worker).replace("arn:aws:s3:::lake", "arn:aws:s3:::other");
        assert!(verdict(Role::Worker, &elsewhere).contains("lacks s3:ListBucket on arn:aws:s3:::lake,"));
        let account = filled(Role::Reader).replace("table/stedi/*", "table/other/*");
        assert!(
            verdict(Role::Reader, &account)
                .contains("lacks glue:GetDatabase on arn:aws:glue:eu-central-1:123456789012:table")
        );
    }

    #[test]
    fn what_is_beyond_the_need_is_named() {
        let everything = filled(Role::Worker).replace(r#""s3:GetObject""#, r#""s3:*""#);
        let said = verdict(Role::Worker, &everything);
        assert!(
            said.starts_with("allows more than is needed here: s3:* on arn:aws:s3:::lake/steps/customer/*"),
            "{said}"
        );
        // readers see curated tables only
        let landing = filled(Role::Reader).replace("customer/trusted/*", "customer/*");
        assert!(verdict(Role::Reader, &landing).contains("s3:GetObject on arn:aws:s3:::lake/steps/customer/*"));
        // a catalog that nobody publishes to needs no rights
        let glue = judge(Role::Coordinator, &filled(Role::Coordinator), &scope("s3://lake/steps", None));
        assert!(glue.expect("a policy").join("").contains("glue:GetDatabase"));
        let regions = filled(Role::Coordinator).replace("eu-central-1", "*");
        assert!(verdict(Role::Coordinator, &regions).contains("lacks glue:GetDatabase on arn:aws:glue:REGION:"));
    }

    #[test]
    fn landing_elsewhere_is_to_be_read() {
        let mut scope = scope("s3://lake/steps", Some("stedi"));
        scope.landing.extend(Place::of_uri("s3://old/backfill"));
        let said = judge(Role::Worker, &filled(Role::Worker), &scope).expect("a policy").join("");
        assert_eq!(said, "lacks s3:ListBucket on arn:aws:s3:::old, s3:GetObject on arn:aws:s3:::old/backfill/*");
        assert!(judge(Role::Reader, &filled(Role::Reader), &scope).expect("a policy").is_empty());
    }

    #[test]
    fn a_role_and_a_file_are_told_apart() {
        let policy: PolicyFile = "worker=a=b.json".parse().expect("a role and a file");
        assert_eq!((policy.role, policy.path), (Role::Worker, PathBuf::from("a=b.json")));
        assert!("w.json".parse::<PolicyFile>().expect_err("no role").contains("worker=worker.json"));
        assert!("boss=w.json".parse::<PolicyFile>().expect_err("no such role").contains("boss"));
    }
}
