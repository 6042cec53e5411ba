//! IAM policy documents, as far as the doctor judges them: statements that allow actions on resources.
//!
//! Form: "IAM JSON policy elements reference" of the AWS Identity and Access Management user guide.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::IgnoredAny;
use wildmatch::WildMatch;

/// The version of the policy language; the older one knows no variables.
const VERSION: &str = "2012-10-17";

/// Why a document cannot be judged.
#[derive(Debug, thiserror::Error)]
pub(super) enum DocumentError {
    #[error("it is no policy: {0}")]
    Form(#[from] serde_json::Error),
    #[error("its Version is {0}: make it {VERSION}")]
    Version(String),
    #[error("its statement {statement} has {what}, which is not judged here: ask IAM's policy simulator")]
    Unjudged { statement: String, what: String },
}

/// An action on a resource; both may have `*` and `?`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    pub(super) action: String,
    pub(super) resource: String,
}

impl Right {
    /// Whether everything that `other` allows is allowed by this one, too. A `*` of `other` is taken for a character that only
    /// a `*` matches: what is covered is covered, and several rights that cover something only together are not seen to.
    pub(super) fn covers(&self, other: &Self) -> bool {
        // IAM does not tell capitals of actions from small letters
        let [mine, others] = [&self.action, &other.action].map(|action| action.to_ascii_lowercase());
        WildMatch::new(&mine).matches(&others) && WildMatch::new(&self.resource).matches(&other.resource)
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.action, self.resource)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    version: String,
    statement: OneOrMany<Statement>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: Option<String>,
    effect: String,
    action: Option<OneOrMany<String>>,
    resource: Option<OneOrMany<String>>,
    #[serde(flatten)]
    others: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    Many(Vec<T>),
    One(T),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::Many(values) => values,
            Self::One(value) => vec![value],
        }
    }
}

/// Everything that the policy `text` allows, in the order in which it says so. ARNs of other partitions, such as `aws-cn`,
/// read as if they were of `aws`.
///
/// # Errors
/// If it is no policy, or says more than which actions are allowed on which resources.
pub(super) fn rights(text: &str) -> Result<Vec<Right>, DocumentError> {
    let document: Document = serde_json::from_str(text)?;
    if document.version != VERSION {
        return Err(DocumentError::Version(document.version));
    }
    let mut rights = Vec::new();
    for (index, statement) in document.statement.into_vec().into_iter().enumerate() {
        let Statement { sid, effect, action, resource, others } = statement;
        let unjudged =
            |what: String| DocumentError::Unjudged { statement: sid.clone().unwrap_or(format!("{}", index + 1)), what };
        if effect != "Allow" {
            return Err(unjudged(format!("the effect {effect}")));
        }
        if let Some((other, _)) = others.into_iter().next() {
            return Err(unjudged(other));
        }
        let (Some(actions), Some(resources)) = (action, resource) else {
            return Err(unjudged("no Action, or no Resource".to_owned()));
        };
        let resources: Vec<_> = resources.into_vec().iter().map(|resource| of_aws(resource)).collect();
        for action in actions.into_vec() {
            let rights_of = |resource: &String| Right { action: action.clone(), resource: resource.clone() };
            rights.extend(resources.iter().map(rights_of));
        }
    }
    Ok(rights)
}

fn of_aws(resource: &str) -> String {
    let other = ["arn:aws-cn:", "arn:aws-us-gov:"].iter().find_map(|partition| resource.strip_prefix(partition));
    other.map_or_else(|| resource.to_owned(), |rest| format!("arn:aws:{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(action: &str, resource: &str) -> Right {
        Right { action: action.to_owned(), resource: resource.to_owned() }
    }

    fn policy(statement: &str) -> String {
        format!(r#"{{"Version": "2012-10-17", "Statement": {statement}}}"#)
    }

    #[test]
    fn one_or_many_of_everything_is_read() {
        let one = r#"{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws-cn:s3:::b/*"}"#;
        assert_eq!(rights(&policy(one)).expect("a policy"), [right("s3:GetObject", "arn:aws:s3:::b/*")]);
        let many = r#"[{"Effect": "Allow", "Action": ["a:A", "a:B"], "Resource": ["r", "s"]}]"#;
        let expected = [right("a:A", "r"), right("a:A", "s"), right("a:B", "r"), right("a:B", "s")];
        assert_eq!(rights(&policy(many)).expect("a policy"), expected);
    }

    #[test]
    fn what_is_not_judged_is_said() {
        for (statement, said) in [
            (r#"{"Sid": "No", "Effect": "Deny", "Action": "*", "Resource": "*"}"#, "statement No has the effect Deny"),
            (r#"{"Effect": "Allow", "NotAction": "s3:*", "Resource": "*"}"#, "statement 1 has NotAction"),
            (r#"{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}"#, "Condition"),
            (r#"{"Effect": "Allow", "Action": "*"}"#, "no Resource"),
        ] {
            let error = rights(&policy(statement)).expect_err(said).to_string();
            assert!(error.contains(said) && error.contains("simulator"), "{error}");
        }
        assert!(rights("{}").expect_err("no policy").to_string().contains("no policy"));
        let old = r#"{"Version": "2008-10-17", "Statement": []}"#;
        assert!(rights(old).expect_err("old").to_string().contains("2008-10-17"));
    }

    #[test]
    fn wildcards_cover_what_they_match() {
        let parts = right("s3:PutObject", "arn:aws:s3:::b/p/*");
        for wider in
            [right("S3:putobject", "arn:aws:s3:::b/p/*"), right("s3:Put*", "arn:aws:s3:::b/*"), right("*", "*")]
        {
            assert!(wider.covers(&parts), "{wider}");
        }
        for other in [
            right("s3:PutObject", "arn:aws:s3:::b/p/x"),
            right("s3:GetObject", "*"),
            right("s3:PutObject", "arn:aws:s3:::b"),
        ] {
            assert!(!other.covers(&parts), "{other}");
        }
        assert!(parts.covers(&right("s3:PutObject", "arn:aws:s3:::b/p/x")));
    }
}
