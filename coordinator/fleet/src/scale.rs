//! How large a worker Job should be, when three want to say so: the run, the limits, and people.
//!
//! **The Job's spec is the wanted number.** The coordinator notes beside it what it asked for last; a spec that says
//! something else was changed by a person, whose number then holds to the end of the run, neither more nor less, within
//! `--workers-min` and `--workers-max`: beyond these it is corrected, because they are what the platform team has ruled, and
//! 0 would end the Job. Who wants no workers for a while suspends the Job.

use std::ops::RangeInclusive;

use crate::job::JobView;

/// A change of a worker Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Parallelism and completions from now on.
    pub size: u32,
    /// The person's number to be noted, if there is one.
    pub fixed: Option<u32>,
    /// Whose wish it is.
    pub why: Why,
}

/// Whose wish a change is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The run has more or less work than before.
    Work,
    /// A person changed the Job to this number, which is now noted.
    Person {
        /// The number, before the limits.
        asked: u32,
    },
}

/// What is to be changed about a Job, if the run would like `target` workers and it may have `sizes`.
pub fn change(job: &JobView, target: u32, sizes: RangeInclusive<u32>) -> Option<Change> {
    let (min, max) = sizes.into_inner();
    // never to 0: the Job would be complete
    let within = |size: u32| size.min(max).max(min).max(1);
    if let Some(asked) = asked_by_person(job) {
        let size = within(asked);
        return Some(Change { size, fixed: Some(size), why: Why::Person { asked } });
    }
    let size = within(job.fixed.unwrap_or(target));
    if job.parallelism == size && job.completions == size {
        return None;
    }
    Some(Change { size, fixed: job.fixed, why: Why::Work })
}

/// The number of workers that a person has asked for since the coordinator last did. Parallelism is what `kubectl` users
/// know; completions must follow, and count only if they alone were changed.
fn asked_by_person(job: &JobView) -> Option<u32> {
    let applied = job.applied?;
    if job.parallelism != applied {
        Some(job.parallelism)
    } else {
        (job.completions != applied).then_some(job.completions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Pool;

    fn job(parallelism: u32, completions: u32, applied: u32, fixed: Option<u32>) -> JobView {
        JobView {
            pool: Pool::Standard,
            version: "1".to_owned(),
            owner: None,
            parallelism,
            completions,
            applied: Some(applied),
            fixed,
            suspended: false,
            deleting: false,
            ended: None,
        }
    }

    #[test]
    fn the_run_has_its_way_while_nobody_else_says_anything() {
        assert_eq!(change(&job(3, 3, 3, None), 3, 1..=8), None);
        assert_eq!(change(&job(3, 3, 3, None), 5, 1..=8), Some(Change { size: 5, fixed: None, why: Why::Work }));
        assert_eq!(change(&job(3, 3, 3, None), 99, 1..=8).map(|change| change.size), Some(8));
        assert_eq!(change(&job(3, 3, 3, None), 0, 2..=8).map(|change| change.size), Some(2));
        assert_eq!(change(&job(3, 3, 3, None), 0, 0..=8).map(|change| change.size), Some(1));
    }

    #[test]
    fn a_persons_number_holds_within_the_limits() {
        let by =
            |parallelism, completions| change(&job(parallelism, completions, 3, None), 5, 2..=8).expect("a change");
        assert_eq!(by(6, 6), Change { size: 6, fixed: Some(6), why: Why::Person { asked: 6 } });
        assert_eq!(by(2, 3), Change { size: 2, fixed: Some(2), why: Why::Person { asked: 2 } });
        assert_eq!(by(3, 7), Change { size: 7, fixed: Some(7), why: Why::Person { asked: 7 } });
        assert_eq!(by(50, 50), Change { size: 8, fixed: Some(8), why: Why::Person { asked: 50 } });
        assert_eq!(by(1, 1), Change { size: 2, fixed: Some(2), why: Why::Person { asked: 1 } });
        assert_eq!(by(0, 3), Change { size: 2, fixed: Some(2), why: Why::Person { asked: 0 } });
        // noted: the run's own wishes do not count any more, whichever coordinator looks
        assert_eq!(change(&job(6, 6, 6, Some(6)), 2, 2..=8), None);
        // until the person says something else
        let again = change(&job(2, 2, 6, Some(6)), 4, 2..=8).expect("a change");
        assert_eq!(again, Change { size: 2, fixed: Some(2), why: Why::Person { asked: 2 } });
    }

    #[test]
    fn a_job_without_a_note_is_nobodys_wish() {
        let unknown = JobView { applied: None, ..job(4, 4, 0, None) };
        assert_eq!(change(&unknown, 4, 1..=8), None);
        assert_eq!(change(&unknown, 2, 1..=8), Some(Change { size: 2, fixed: None, why: Why::Work }));
    }
}
