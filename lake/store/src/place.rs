//! The URIs of lakes, and of landing elsewhere.

use std::path::PathBuf;

use object_store::path::Path;

use crate::error::OpenError;

/// What a URI names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Uri {
    /// An absolute path on this machine.
    Folder(PathBuf),
    /// A folder, or an object, in a bucket.
    S3(S3Place),
}

/// `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct S3Place {
    pub(crate) bucket: String,
    pub(crate) prefix: Path,
}

impl S3Place {
    pub(crate) fn uri(&self) -> String {
        match self.prefix.as_ref() {
            "" => format!("s3://{}", self.bucket),
            prefix => format!("s3://{}/{prefix}", self.bucket),
        }
    }
}

/// A folder as its absolute path, or as `s3://bucket/prefix`.
///
/// # Errors
/// If `uri` names no folder.
pub fn absolute(uri: &str) -> Result<String, OpenError> {
    Ok(match Uri::parse(uri)? {
        Uri::Folder(folder) => folder.display().to_string(),
        Uri::S3(place) => place.uri(),
    })
}

/// Whether `uri` is one of S3, be it of a folder or of an object.
pub fn is_on_s3(uri: &str) -> bool {
    matches!(Uri::parse(uri), Ok(Uri::S3(_)))
}

impl Uri {
    pub(crate) fn parse(uri: &str) -> Result<Self, OpenError> {
        let unknown = || OpenError::UnknownScheme(uri.to_owned());
        match uri.split_once("://") {
            Some(("file", _)) => {
                let path = url::Url::parse(uri).ok().and_then(|url| url.to_file_path().ok());
                path.map(Self::Folder).ok_or_else(unknown)
            }
            // Hadoop's names for the same
            Some(("s3" | "s3a" | "s3n", rest)) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let prefix = Path::parse(prefix).map_err(|_| unknown())?;
                if is_bucket(bucket) {
                    Ok(Self::S3(S3Place { bucket: bucket.to_owned(), prefix }))
                } else {
                    Err(unknown())
                }
            }
            Some(_) => Err(unknown()),
            None if uri.is_empty() => Err(unknown()),
            // components() takes `a/./b/` for `a/b`
            None => std::path::absolute(uri)
                .map(|path| Self::Folder(path.components().collect()))
                .map_err(|error| OpenError::new(uri, error)),
        }
    }
}

/// Whether S3 could have a bucket of that name: old ones have capitals and `_`, access points are ARNs.
fn is_bucket(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_and_a_prefix_are_told_apart() {
        let parsed = |uri: &str| match Uri::parse(uri) {
            Ok(Uri::S3(place)) => place.uri(),
            other => format!("{other:?}"),
        };
        assert_eq!(parsed("s3://bucket"), "s3://bucket");
        assert_eq!(parsed("s3://bucket/"), "s3://bucket");
        assert_eq!(parsed("s3a://bucket/a/b c%20/"), "s3://bucket/a/b c%20");
        for uri in ["s3://", "s3:///a", "s3://a b/c", "s3://bucket/a//b", "s3://bucket/../a"] {
            assert!(matches!(Uri::parse(uri), Err(OpenError::UnknownScheme(_))), "{uri}");
        }
    }
}
