use super::*;
use crate::pod::Stuck;

const OWNER: &str = "u-1";

fn controller() -> Controller {
    let limits = Limits { workers_min: 2, workers_max: 8, pending_deadline: Duration::from_secs(60) };
    let mut controller = Controller::new(limits, "n".to_owned(), OWNER.to_owned());
    assert_eq!(controller.see(Seen::Pods(Vec::new())), []);
    assert_eq!(controller.see(Seen::Jobs(Vec::new())), []);
    controller
}

fn job(size: u32) -> JobView {
    JobView {
        pool: Pool::Standard,
        version: "7".to_owned(),
        owner: Some(OWNER.to_owned()),
        parallelism: size,
        completions: size,
        applied: Some(size),
        fixed: None,
        suspended: false,
        deleting: false,
        ended: None,
    }
}

fn pod(index: u32, state: PodState) -> PodView {
    PodView { name: format!("n-w-{index}-x"), pool: Pool::Standard, index, state }
}

fn ready(index: u32) -> PodView {
    pod(index, PodState::Running { ready: true })
}

fn loss(cause: LossCause) -> Loss {
    Loss { cause, message: "why".to_owned() }
}

/// A need of `tasks` in the present stage, with this many workers of two slots, of which each runs `running`.
fn need(tasks: u32, workers: u32, running: usize) -> Need {
    Need {
        stages: vec![WorkLeft { tasks, bytes: u64::from(tasks) * 100, task_bytes: 100 }],
        slots_per_worker: (workers > 0).then_some(2),
        high_memory_tasks: 0,
        workers,
        pods: (0..workers).map(|index| PodLoad { pod: format!("n-w-{index}-x"), running }).collect(),
    }
}

/// A fleet of `size` workers that are there.
fn at_work(size: u32) -> Controller {
    let mut controller = controller();
    assert_eq!(controller.decide(0, &Need::default()), [Step::Make { pool: Pool::Standard, size: 2 }]);
    controller.see(Seen::Job(job(size)));
    controller.see(Seen::Pods((0..size).map(ready).collect()));
    controller
}

fn scales(steps: &[Step]) -> Vec<(u32, Option<u32>)> {
    let scale = |step: &Step| match step {
        Step::Scale { size, fixed, .. } => Some((*size, *fixed)),
        _ => None,
    };
    steps.iter().filter_map(scale).collect()
}

fn said(steps: &[Step]) -> Vec<&'static str> {
    let reason = |step: &Step| match step {
        Step::Say(happening) | Step::Scale { say: happening, .. } => Some(happening.reason()),
        _ => None,
    };
    steps.iter().filter_map(reason).collect()
}

fn failure(steps: &[Step]) -> Option<&str> {
    steps.iter().find_map(|step| match step {
        Step::Update(Update::Failed { message }) => Some(message.as_str()),
        _ => None,
    })
}

#[test]
fn nothing_is_made_before_it_is_known_what_is_there() {
    let limits = Limits { workers_min: 1, workers_max: 8, pending_deadline: Duration::from_secs(60) };
    let mut controller = Controller::new(limits, "n".to_owned(), OWNER.to_owned());
    assert_eq!(controller.decide(0, &need(9, 0, 0)), []);
    controller.see(Seen::Jobs(vec![job(3)]));
    assert_eq!(controller.decide(0, &need(9, 0, 0)), []);
    controller.see(Seen::Pods(Vec::new()));
    assert_eq!(said(&controller.decide(0, &need(9, 0, 0))), ["WorkersAdopted"], "and none is made");
}

#[test]
fn a_fleet_grows_at_once_and_by_steps() {
    let mut controller = at_work(2);
    assert_eq!(scales(&controller.decide(10_000, &need(800, 2, 2))), [(6, None)]);
    controller.see(Seen::Job(job(6)));
    assert_eq!(scales(&controller.decide(12_000, &need(800, 2, 2))), [], "not that soon again");
    assert_eq!(scales(&controller.decide(15_000, &need(800, 6, 2))), [(8, None)], "never above the limit");
}

#[test]
fn a_fleet_shrinks_late_and_takes_nobody_who_works() {
    let mut controller = at_work(8);
    assert_eq!(controller.decide(10_000, &need(4, 8, 1)), []);
    assert_eq!(controller.decide(39_000, &need(4, 8, 1)), []);
    let leaving = (4..8).map(|index| format!("n-w-{index}-x")).collect();
    assert_eq!(controller.decide(40_000, &need(4, 8, 1)), [Step::Update(Update::Retire { pods: leaving })]);
    assert_eq!(controller.decide(42_000, &need(4, 8, 1)), [], "they still run something");
    let steps = controller.decide(44_000, &need(4, 8, 0));
    assert_eq!((scales(&steps), said(&steps)), (vec![(4, None)], vec!["ScaledDown"]));
    // Kubernetes takes the pods away: nobody is told of a loss
    controller.see(Seen::Job(job(4)));
    let steps = controller.see(Seen::Pod(pod(7, PodState::Lost(loss(LossCause::Deleted)))));
    assert_eq!(said(&steps), Vec::<&str>::new());
}

#[test]
fn who_works_keeps_the_indexes_below_and_not_those_above() {
    let mut controller = at_work(8);
    let mut need = need(1, 8, 0);
    // the last task is with index 5
    need.pods[5].running = 1;
    controller.decide(10_000, &need);
    assert_eq!(scales(&controller.decide(40_000, &need)), [], "first they are retired");
    assert_eq!(scales(&controller.decide(42_000, &need)), [(6, None)]);
    controller.see(Seen::Job(job(6)));
    assert_eq!(scales(&controller.decide(44_000, &need)), []);
    need.pods[5].running = 0;
    need.pods[0].running = 1;
    assert_eq!(scales(&controller.decide(50_000, &need)), [], "others are retired");
    assert_eq!(scales(&controller.decide(52_000, &need)), [(2, None)]);
}

#[test]
fn who_was_to_go_stays_when_there_is_work_again() {
    let mut controller = at_work(8);
    controller.decide(10_000, &need(4, 8, 1));
    controller.decide(40_000, &need(4, 8, 1));
    let steps = controller.decide(42_000, &need(800, 8, 1));
    assert_eq!(steps, [Step::Update(Update::Retire { pods: BTreeSet::new() })]);
}

#[test]
fn a_persons_number_wins_and_is_noted() {
    let mut controller = at_work(2);
    let by_person = JobView { parallelism: 5, completions: 5, version: "8".to_owned(), ..job(2) };
    controller.see(Seen::Job(by_person));
    let steps = controller.decide(1, &need(1, 2, 1));
    assert_eq!((scales(&steps), said(&steps)), (vec![(5, Some(5))], vec!["ScaledByHand"]));
    assert!(matches!(&steps[0], Step::Scale { version, .. } if version == "8"));
    controller.see(Seen::Job(JobView { fixed: Some(5), ..job(5) }));
    controller.see(Seen::Pods((0..5).map(ready).collect()));
    assert_eq!(controller.decide(100_000, &need(800, 5, 1)), []);
    assert_eq!(controller.decide(200_000, &need(1, 5, 0)), []);
}

#[test]
fn a_persons_number_below_the_minimum_is_corrected_and_that_is_told() {
    let mut controller = at_work(3);
    controller.see(Seen::Job(JobView { parallelism: 1, completions: 1, ..job(3) }));
    let steps = controller.decide(1, &need(800, 3, 1));
    assert_eq!(scales(&steps), [(2, Some(2))]);
    let Some(Step::Scale { say, .. }) = steps.first() else { panic!("{steps:?}") };
    assert_eq!(say.reason(), "ScaledByHand");
    assert!(say.note().contains("to 1 workers") && say.note().contains("held at 2"), "{}", say.note());
    // of workers with more memory there may be one
    let high_memory = JobView { pool: Pool::HighMemory, parallelism: 1, completions: 1, ..job(3) };
    controller.see(Seen::Job(high_memory));
    assert!(scales(&controller.decide(2, &need(800, 3, 1))).contains(&(1, Some(1))));
}

#[test]
fn a_suspended_fleet_waits_without_a_deadline() {
    let mut controller = at_work(2);
    controller.see(Seen::Job(JobView { suspended: true, ..job(2) }));
    let steps = controller.decide(1_000, &need(9, 0, 0));
    assert_eq!(said(&steps), ["WorkersSuspended"]);
    assert!(steps.contains(&Step::Update(Update::HeldBack)));
    assert_eq!(controller.decide(900_000, &need(9, 0, 0)), [Step::Update(Update::HeldBack)]);
    controller.see(Seen::Pods(Vec::new()));
    controller.see(Seen::Job(job(2)));
    assert_eq!(said(&controller.decide(901_000, &need(9, 0, 0))), ["WorkersResumed"]);
    assert_eq!(failure(&controller.decide(960_000, &need(9, 0, 0))), None, "the deadline begins anew");
    assert!(failure(&controller.decide(962_000, &need(9, 0, 0))).is_some());
}

#[test]
fn an_image_that_cannot_be_had_is_told_at_once_and_ends_the_run_in_the_end() {
    let mut controller = at_work(2);
    let stuck = |index| {
        let stuck = Stuck::Image { image: "stedi:none".to_owned(), message: "ErrImagePull: not found".to_owned() };
        pod(index, PodState::Stuck(stuck))
    };
    assert_eq!(said(&controller.see(Seen::Pod(stuck(0)))), ["WorkerImage"]);
    assert_eq!(controller.see(Seen::Pod(stuck(1))), [], "once is enough");
    assert_eq!(controller.decide(1_000, &need(9, 0, 0)), []);
    let steps = controller.decide(61_000, &need(9, 0, 0));
    let message = failure(&steps).expect("it fails");
    assert!(message.contains("stedi:none") && message.contains("ErrImagePull") && message.contains("1m"), "{message}");
    assert_eq!(controller.decide(70_000, &need(9, 0, 0)), [], "and does so once");
}

#[test]
fn while_others_work_pods_that_wait_are_only_a_warning() {
    let mut controller = at_work(2);
    let unschedulable = Stuck::Unschedulable { message: "0/1 nodes".to_owned() };
    assert_eq!(said(&controller.see(Seen::Pod(pod(1, PodState::Stuck(unschedulable))))), ["WorkerUnschedulable"]);
    assert_eq!(controller.decide(1_000, &need(2, 1, 1)), []);
    let steps = controller.decide(61_000, &need(2, 1, 1));
    assert_eq!((said(&steps), failure(&steps)), (vec!["WorkersPending"], None));
    assert_eq!(controller.decide(63_000, &need(2, 1, 1)), []);
    // the last worker goes: from now on the deadline counts
    assert_eq!(failure(&controller.decide(65_000, &need(2, 0, 0))), None);
    assert!(failure(&controller.decide(125_000, &need(2, 0, 0))).is_some());
}

#[test]
fn pods_that_are_never_made_are_told_once_and_are_the_cause_in_the_end() {
    let mut controller = at_work(2);
    controller.see(Seen::Pods(Vec::new()));
    assert_eq!(controller.decide(1_000, &need(9, 0, 0)), []);
    assert_eq!(controller.decide(15_000, &need(9, 0, 0)), []);
    let steps = controller.decide(16_000, &need(9, 0, 0));
    let Some(Step::Say(told)) = steps.first() else { panic!("{steps:?}") };
    assert_eq!(told.reason(), "WorkersNotCreated");
    let note = told.note();
    assert!(note.contains("2 of 2 workers") && note.contains("kubectl describe job n-w says why"), "{note}");
    assert_eq!(controller.decide(30_000, &need(9, 0, 0)), [], "once is enough");
    let steps = controller.decide(61_000, &need(9, 0, 0));
    let message = failure(&steps).expect("it fails");
    assert!(message.contains("2 of 2 workers are not created") && message.contains("quota"), "{message}");
}

#[test]
fn a_job_that_grows_has_time_to_make_its_pods_and_some_may_be_refused() {
    let mut controller = at_work(2);
    let held_at = |size| Seen::Job(JobView { fixed: Some(size), ..job(size) });
    controller.see(held_at(6));
    assert_eq!(said(&controller.decide(1_000, &need(8, 2, 2))), Vec::<&str>::new());
    controller.see(held_at(8));
    assert_eq!(said(&controller.decide(14_000, &need(8, 2, 2))), Vec::<&str>::new());
    assert_eq!(said(&controller.decide(28_000, &need(8, 2, 2))), Vec::<&str>::new(), "the larger Job is young");
    assert_eq!(said(&controller.decide(29_000, &need(8, 2, 2))), ["WorkersNotCreated"]);
    // there are workers, so the run goes on; and it is worth saying again when it comes back
    controller.see(Seen::Pods((0..8).map(ready).collect()));
    assert_eq!(said(&controller.decide(31_000, &need(8, 8, 2))), Vec::<&str>::new());
    controller.see(Seen::Pods((0..7).map(ready).collect()));
    controller.decide(40_000, &need(8, 7, 2));
    assert_eq!(said(&controller.decide(55_000, &need(8, 7, 2))), ["WorkersNotCreated"]);
}

#[test]
fn pods_that_failed_or_are_held_back_are_not_refused() {
    let mut controller = at_work(2);
    controller.see(Seen::Pod(pod(1, PodState::Lost(loss(LossCause::Exited)))));
    controller.decide(1_000, &need(2, 1, 1));
    assert_eq!(controller.decide(30_000, &need(2, 1, 1)), [], "its replacement waits for the back-off");
    controller.see(Seen::Pods(Vec::new()));
    controller.see(Seen::Job(JobView { suspended: true, ..job(2) }));
    assert_eq!(said(&controller.decide(40_000, &need(2, 0, 0))), ["WorkersSuspended"]);
    assert_eq!(said(&controller.decide(90_000, &need(2, 0, 0))), Vec::<&str>::new());
}

#[test]
fn why_a_pod_is_gone_is_told_to_loop_and_people() {
    let mut controller = at_work(3);
    let name = || "n-w-1-x".to_owned();
    let killed = pod(1, PodState::Lost(loss(LossCause::OutOfMemory)));
    let steps = controller.see(Seen::Pod(killed.clone()));
    let class = FailureClass::OutOfMemory;
    let update = Update::Lost { pod: name(), class, message: "why".to_owned() };
    assert_eq!(steps[0], Step::Update(update));
    assert_eq!(said(&steps), ["WorkerOutOfMemory"]);
    assert_eq!(controller.see(Seen::Pod(killed)), []);
    assert_eq!(controller.see(Seen::PodGone(name())), [], "it was told already");
    let steps = controller.see(Seen::Pod(pod(2, PodState::Leaving(loss(LossCause::Disrupted)))));
    assert!(matches!(&steps[..], [Step::Update(Update::Leaving { class: FailureClass::Preempted, .. })]));
    // a watch that was away sees that it is gone, and nothing in between
    let steps = controller.see(Seen::Pods(vec![ready(0)]));
    assert_eq!(said(&steps), ["WorkerEvicted"]);
}

#[test]
fn a_permanent_exit_ends_the_run() {
    let mut controller = at_work(2);
    let lost = Loss { cause: LossCause::Permanent, message: "exit code 78, its configuration is wrong".to_owned() };
    let steps = controller.see(Seen::Pod(pod(0, PodState::Lost(lost))));
    let message = failure(&steps).expect("it fails");
    assert!(message.contains("n-w-0-x") && message.contains("78"), "{message}");
    controller.see(Seen::Job(JobView { ended: Some(JobEnd::Failed { message: "m".to_owned() }), ..job(2) }));
    assert_eq!(controller.decide(1, &need(1, 0, 0)), [], "it was said why");
}

#[test]
fn a_job_that_fails_under_our_eyes_ends_the_run_and_an_older_one_is_replaced() {
    let ended = |end| JobView { ended: Some(end), ..job(2) };
    let failed = || ended(JobEnd::Failed { message: "FailedIndexes: m".to_owned() });
    let mut ours = at_work(2);
    ours.decide(1_000, &need(1, 2, 0));
    ours.see(Seen::Job(failed()));
    assert!(failure(&ours.decide(2_000, &need(1, 0, 0))).is_some_and(|message| message.contains("FailedIndexes")));
    let mut late = controller();
    late.see(Seen::Job(failed()));
    assert_eq!(late.decide(0, &need(1, 0, 0)), [Step::Remove { pool: Pool::Standard }]);
    late.see(Seen::JobGone(Pool::Standard));
    assert_eq!(late.decide(0, &need(1, 0, 0)), [Step::Make { pool: Pool::Standard, size: 2 }]);
}

#[test]
fn the_job_of_a_coordinator_of_the_same_name_is_not_taken_over() {
    let mut controller = controller();
    controller.see(Seen::Job(JobView { owner: Some("u-0".to_owned()), ..job(3) }));
    assert_eq!(controller.decide(0, &need(1, 0, 0)), [Step::Remove { pool: Pool::Standard }]);
    controller.see(Seen::Job(JobView { deleting: true, ..job(3) }));
    assert_eq!(controller.decide(0, &need(1, 0, 0)), [], "it goes");
}

#[test]
fn workers_with_more_memory_come_when_a_task_needs_them() {
    let mut controller = at_work(2);
    let wants = |tasks| Need { high_memory_tasks: tasks, ..need(4, 2, 1) };
    assert_eq!(controller.decide(0, &wants(1)), [Step::Make { pool: Pool::HighMemory, size: 1 }]);
    controller.see(Seen::Job(JobView { pool: Pool::HighMemory, ..job(1) }));
    let steps = controller.decide(10_000, &wants(3));
    assert_eq!(scales(&steps), [(3, None)]);
    controller.see(Seen::Job(JobView { pool: Pool::HighMemory, ..job(3) }));
    assert_eq!(scales(&controller.decide(20_000, &wants(15))), [(4, None)], "a few at once, many in turn");
    controller.see(Seen::Job(JobView { pool: Pool::HighMemory, ..job(4) }));
    assert_eq!(controller.decide(50_000, &wants(0)), [], "they stay to the end");
    // and the run ends if none can be had
    let mut controller = at_work(2);
    controller.decide(0, &wants(1));
    controller.see(Seen::Job(JobView { pool: Pool::HighMemory, ..job(1) }));
    let stuck = PodState::Stuck(Stuck::Unschedulable { message: "Insufficient memory".to_owned() });
    controller.see(Seen::Pod(PodView { name: "n-wm-0-x".to_owned(), pool: Pool::HighMemory, index: 0, state: stuck }));
    assert_eq!(failure(&controller.decide(1_000, &wants(1))), None);
    let steps = controller.decide(61_000, &wants(1));
    let message = failure(&steps).expect("it fails");
    assert!(message.contains("high-memory") && message.contains("Insufficient memory"), "{message}");
}

#[test]
fn a_job_that_cannot_be_made_is_tried_again_and_ends_the_run_in_the_end() {
    let make = [Step::Make { pool: Pool::Standard, size: 2 }];
    let mut refused = controller();
    assert_eq!(refused.decide(0, &need(9, 0, 0)), make);
    let told = refused.not_made(Pool::Standard, "exceeded quota".to_owned()).expect("it is news");
    assert_eq!(told.reason(), "WorkersNotCreated");
    assert!(told.note().contains("n-w cannot be created: exceeded quota"), "{}", told.note());
    assert_eq!(refused.decide(2_000, &need(9, 0, 0)), make);
    assert_eq!(refused.not_made(Pool::Standard, "exceeded quota".to_owned()), None, "once is enough");
    let steps = refused.decide(60_000, &need(9, 0, 0));
    let message = failure(&steps).expect("it fails");
    assert!(message.contains("1m") && message.contains("n-w cannot be created: exceeded quota"), "{message}");
    assert_eq!((steps.len(), refused.decide(62_000, &need(9, 0, 0))), (1, Vec::new()), "and makes none any more");
}

#[test]
fn the_time_without_a_job_counts_from_when_it_is_wanted_and_its_pods_have_their_own_reasons() {
    let wants = |tasks| Need { high_memory_tasks: tasks, ..need(4, 2, 1) };
    let refuse = |controller: &mut Controller| drop(controller.not_made(Pool::HighMemory, "no".to_owned()));
    let mut controller = at_work(2);
    controller.decide(0, &wants(1));
    refuse(&mut controller);
    assert_eq!(controller.decide(30_000, &wants(0)), [], "somebody else has done it");
    assert_eq!(controller.decide(90_000, &wants(1)), [Step::Make { pool: Pool::HighMemory, size: 1 }]);
    refuse(&mut controller);
    let steps = controller.decide(150_000, &wants(1));
    assert!(failure(&steps).is_some_and(|message| message.contains("n-wm cannot be created: no")), "{steps:?}");
    // one that is made in the end is not in the way any more
    let mut controller = at_work(2);
    controller.decide(0, &wants(1));
    refuse(&mut controller);
    controller.see(Seen::Job(JobView { pool: Pool::HighMemory, ..job(1) }));
    controller.decide(59_000, &wants(1));
    let steps = controller.decide(61_000, &wants(1));
    assert!(failure(&steps).is_some_and(|message| !message.contains("cannot be created")), "{steps:?}");
}

#[test]
fn sizes_are_those_that_are_asked_for_and_those_that_are_ready() {
    let mut controller = at_work(3);
    controller.see(Seen::Pod(pod(1, PodState::Coming)));
    assert_eq!(controller.sizes(), (3, 2));
    controller.see(Seen::Job(JobView { suspended: true, ..job(3) }));
    assert_eq!(controller.sizes(), (0, 2), "nobody is missing from a fleet that is suspended");
}
