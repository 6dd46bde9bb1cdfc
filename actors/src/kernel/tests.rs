//! The promises of the kernel, on real arbiters.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use actix::{
    Actor, ActorContext, ActorFutureExt, AsyncContext, AtomicResponse, Context, Handler, Message,
    ResponseActFuture, WrapFuture,
};
use tokio::sync::{Semaphore, mpsc};

use super::*;

type Key = u32;

struct Probe {
    life: LifeGuard<Key>,
    world: World,
}

/// What a test sees of its actors.
#[derive(Clone)]
struct World {
    gate: Arc<Semaphore>,
    handled: Arc<AtomicUsize>,
    made: Arc<AtomicUsize>,
}

impl World {
    fn new() -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), handled: Arc::default(), made: Arc::default() }
    }

    fn make(&self) -> impl FnOnce(LifeGuard<Key>) -> Probe + Send + 'static {
        let world = self.clone();
        move |life| {
            world.made.fetch_add(1, Ordering::SeqCst);
            Probe { life, world }
        }
    }
}

impl Actor for Probe {
    type Context = Context<Self>;
}

#[derive(Message, Debug, PartialEq)]
#[rtype(result = "u32")]
struct Echo(u32);

impl Handler<Permitted<Echo>> for Probe {
    type Result = u32;

    fn handle(
        &mut self,
        Permitted { message: Echo(number), .. }: Permitted<Echo>,
        _: &mut Self::Context,
    ) -> u32 {
        number
    }
}

/// Is handled until the gate lets it through.
#[derive(Message, Debug, PartialEq)]
#[rtype(result = "()")]
struct Hold(u32);

impl Handler<Permitted<Hold>> for Probe {
    type Result = AtomicResponse<Self, ()>;

    fn handle(&mut self, Permitted { permit, .. }: Permitted<Hold>, _: &mut Self::Context) -> Self::Result {
        let gate = Arc::clone(&self.world.gate);
        let opened = async move { gate.acquire().await.unwrap().forget() }.into_actor(self);
        permit.exclusively(opened.map(|(), probe, _| {
            probe.world.handled.fetch_add(1, Ordering::SeqCst);
        }))
    }
}

/// As [`Hold`], with other messages meanwhile.
#[derive(Message)]
#[rtype(result = "()")]
struct HoldAlongside;

impl Handler<Permitted<HoldAlongside>> for Probe {
    type Result = ResponseActFuture<Self, ()>;

    fn handle(
        &mut self,
        Permitted { permit, .. }: Permitted<HoldAlongside>,
        _: &mut Self::Context,
    ) -> Self::Result {
        let gate = Arc::clone(&self.world.gate);
        permit.alongside(async move { gate.acquire().await.unwrap().forget() }.into_actor(self))
    }
}

#[derive(Clone, Copy, Debug)]
enum End {
    PanicInHandler,
    PanicInAnswer,
    PanicInWait,
    PanicInSpawned,
    Stop,
}

#[derive(Message)]
#[rtype(result = "()")]
struct Do(End);

impl Handler<Permitted<Do>> for Probe {
    type Result = AtomicResponse<Self, ()>;

    fn handle(
        &mut self,
        Permitted { message: Do(end), permit }: Permitted<Do>,
        context: &mut Self::Context,
    ) -> Self::Result {
        let later = async {
            tokio::task::yield_now().await;
            panic!("on purpose, later");
        };
        match end {
            End::PanicInHandler => panic!("on purpose"),
            End::PanicInAnswer => return permit.exclusively(later.into_actor(self)),
            End::PanicInWait => context.wait(later.into_actor(self)),
            End::PanicInSpawned => drop(context.spawn(later.into_actor(self))),
            End::Stop => context.stop(),
        }
        permit.exclusively(async {}.into_actor(self))
    }
}

/// Retires if nothing else is there, as an idle timer would.
#[derive(Message)]
#[rtype(result = "bool")]
struct Retire;

impl Handler<Permitted<Retire>> for Probe {
    type Result = bool;

    fn handle(&mut self, Permitted { permit, .. }: Permitted<Retire>, context: &mut Self::Context) -> bool {
        drop(permit);
        let retired = self.life.retire();
        if retired {
            context.stop();
        }
        retired
    }
}

struct Setting {
    registry: Registry<Key, Probe>,
    ends: mpsc::Receiver<Ended<Key>>,
    world: World,
}

/// A registry of at most four probes with mailboxes of four.
fn setting(threads: usize) -> Setting {
    let (tell, ends) = mpsc::channel(16);
    let limits = RegistryLimits { actors_max: 4, mailbox_max: 4 };
    let arbiters = Arc::new(Arbiters::new(threads).unwrap());
    let registry = Registry::new("probe", limits, arbiters, move |ended| tell.try_send(ended).unwrap());
    Setting { registry, ends, world: World::new() }
}

impl Setting {
    fn activate(&self, key: Key) -> Mailbox<Probe> {
        self.registry.get_or_activate(&key, self.world.make()).unwrap()
    }
}

#[actix::test]
async fn the_bound_is_exact_however_many_clones_send() {
    let setting = setting(1);
    let mailbox = setting.activate(1);
    let start = Arc::new(Barrier::new(8));
    let senders: Vec<_> = (0..8)
        .map(|_| (mailbox.clone(), Arc::clone(&start)))
        .map(|(mailbox, start)| {
            thread::spawn(move || {
                start.wait();
                (0..100).filter(|number| mailbox.try_send(Hold(*number)).is_ok()).count()
            })
        })
        .collect();
    let accepted: usize = senders.into_iter().map(|sender| sender.join().unwrap()).sum();
    assert_eq!(accepted, 4);
    assert_eq!((mailbox.occupied(), mailbox.capacity()), (4, 4));
    assert_eq!(mailbox.try_send(Hold(7)), Err(Refused::Full(Hold(7))));

    setting.world.gate.add_permits(4);
    assert_eq!(mailbox.ask(Echo(5)).await, Ok(5));
    assert_eq!(setting.world.handled.load(Ordering::SeqCst), 4);
    assert_eq!(mailbox.occupied(), 0);
}

#[actix::test]
async fn sending_waits_until_something_has_been_handled_to_its_end() {
    let setting = setting(1);
    let mailbox = setting.activate(1);
    for _ in 0..4 {
        mailbox.send(HoldAlongside).await.unwrap();
    }
    let mut fifth = Box::pin(mailbox.send(HoldAlongside));
    assert!(futures::poll!(&mut fifth).is_pending());
    setting.world.gate.add_permits(1);
    fifth.await.unwrap();
    assert_eq!(mailbox.occupied(), 4);
    assert!(mailbox.try_send(HoldAlongside).is_err());
}

#[actix::test]
async fn every_way_to_end_is_told_and_the_next_activation_is_a_new_actor() {
    let mut setting = setting(2);
    for (end, panicked) in [
        (End::PanicInHandler, true),
        (End::PanicInAnswer, true),
        (End::PanicInWait, true),
        (End::PanicInSpawned, true),
        (End::Stop, false),
    ] {
        let mailbox = setting.activate(1);
        let incarnation = setting.registry.incarnation(&1).unwrap();
        mailbox.try_send(Do(end)).unwrap();
        let ended = setting.ends.recv().await.unwrap();
        assert_eq!(ended, Ended { key: 1, incarnation, panicked }, "{end:?}");
        assert!(mailbox.is_closed());
        assert_eq!(mailbox.try_send(Echo(3)), Err(Refused::Closed(Echo(3))));
        assert_eq!(mailbox.send(Echo(3)).await, Err(Refused::Closed(Echo(3))));
        assert_eq!(mailbox.ask(Echo(3)).await, Err(AskError::Closed));
        assert!(setting.registry.is_empty());
        assert_eq!(setting.activate(1).ask(Echo(9)).await, Ok(9), "after {end:?}");
        assert!(setting.registry.incarnation(&1).unwrap() > incarnation);
    }
}

#[actix::test]
async fn who_asks_or_waits_for_room_hears_of_the_end() {
    let mut setting = setting(1);
    let mailbox = setting.activate(1);
    for number in 0..3 {
        mailbox.try_send(Hold(number)).unwrap();
    }
    let mut asked = Box::pin(mailbox.ask(Echo(1)));
    let mut waiting = Box::pin(mailbox.send(Echo(2)));
    assert!(futures::poll!(&mut asked).is_pending());
    assert!(futures::poll!(&mut waiting).is_pending());
    setting.world.gate.add_permits(1);
    assert_eq!(waiting.await, Ok(()), "accepted, and gone with the actor");
    let mut waiting = Box::pin(mailbox.send(Echo(3)));
    assert!(futures::poll!(&mut waiting).is_pending());
    // What is held unwraps this, and panics.
    setting.world.gate.close();
    assert_eq!(asked.await, Err(AskError::Unanswered));
    assert_eq!(waiting.await, Err(Refused::Closed(Echo(3))));
    assert!(setting.ends.recv().await.unwrap().panicked);
}

#[actix::test]
async fn a_panic_leaves_the_neighbours_on_its_thread_alive() {
    let mut setting = setting(1);
    let (broken, neighbour) = (setting.activate(1), setting.activate(2));
    for end in [End::PanicInHandler, End::PanicInAnswer] {
        let broken = if broken.is_closed() { setting.activate(1) } else { broken.clone() };
        assert_eq!(broken.ask(Do(end)).await, Err(AskError::Unanswered));
        assert!(setting.ends.recv().await.unwrap().panicked);
        assert_eq!(neighbour.ask(Echo(2)).await, Ok(2));
    }
    assert_eq!(setting.registry.keys(), [2]);
}

#[actix::test]
async fn an_actor_is_activated_once_under_races() {
    let setting = setting(2);
    let start = Arc::new(Barrier::new(8));
    let racers: Vec<_> = (0..8)
        .map(|_| (setting.registry.clone(), setting.world.make(), Arc::clone(&start)))
        .map(|(registry, make, start)| {
            thread::spawn(move || {
                start.wait();
                registry.get_or_activate(&1, make).unwrap()
            })
        })
        .collect();
    for racer in racers {
        assert_eq!(racer.join().unwrap().ask(Echo(1)).await, Ok(1));
    }
    assert_eq!(setting.world.made.load(Ordering::SeqCst), 1);
    assert_eq!(setting.registry.len(), 1);
}

#[actix::test]
async fn a_full_registry_refuses_and_one_that_ends_makes_room() {
    let mut setting = setting(2);
    for key in 1..=4 {
        setting.activate(key);
    }
    let refused = setting.registry.get_or_activate(&5, setting.world.make()).err();
    assert_eq!(refused, Some(RegistryFull { name: "probe", actors_max: 4 }));
    setting.activate(3).try_send(Do(End::Stop)).unwrap();
    setting.ends.recv().await.unwrap();
    assert_eq!(setting.activate(5).ask(Echo(5)).await, Ok(5));
    assert_eq!(setting.registry.len(), 4);
}

#[actix::test]
async fn passivating_an_old_incarnation_leaves_the_new_one() {
    let mut setting = setting(1);
    setting.activate(1);
    let old = setting.registry.incarnation(&1).unwrap();
    assert_eq!(setting.registry.passivate(&1, old), Passivated::Done);
    assert_eq!(setting.registry.len(), 0);
    let ended = setting.ends.recv().await.unwrap();
    assert_eq!(ended, Ended { key: 1, incarnation: old, panicked: false });

    let mailbox = setting.activate(1);
    let new = setting.registry.incarnation(&1).unwrap();
    assert_eq!(setting.registry.passivate(&1, old), Passivated::Gone);
    assert_eq!(setting.registry.incarnation(&1), Some(new));
    mailbox.try_send(Hold(1)).unwrap();
    assert_eq!(setting.registry.passivate(&1, new), Passivated::Busy);
    setting.world.gate.add_permits(1);
    assert_eq!(mailbox.ask(Echo(1)).await, Ok(1));
    assert_eq!(setting.registry.len(), 1);
}

#[actix::test]
async fn the_end_of_an_old_incarnation_leaves_the_new_one() {
    let mut setting = setting(1);
    let old = setting.activate(1);
    let incarnation = setting.registry.incarnation(&1).unwrap();
    // Retired, but alive as long as this clone is: a new one takes its place meanwhile.
    assert_eq!(setting.registry.passivate(&1, incarnation), Passivated::Done);
    let new = setting.activate(1);
    assert_eq!(old.try_send(Echo(1)), Err(Refused::Closed(Echo(1))));
    drop(old);
    assert_eq!(setting.ends.recv().await.unwrap().incarnation, incarnation);
    assert_eq!(new.ask(Echo(2)).await, Ok(2));
    assert_eq!(setting.registry.len(), 1);
}

#[actix::test]
async fn an_actor_retires_only_when_no_message_waits() {
    let mut setting = setting(1);
    let mailbox = setting.activate(1);
    mailbox.try_send(Hold(1)).unwrap();
    let mut retired = Box::pin(mailbox.ask(Retire));
    assert!(futures::poll!(&mut retired).is_pending());
    mailbox.try_send(Echo(1)).unwrap();
    setting.world.gate.add_permits(1);
    assert_eq!(retired.await, Ok(false));
    assert_eq!(mailbox.ask(Echo(4)).await, Ok(4));

    assert_eq!(mailbox.ask(Retire).await, Ok(true));
    assert!(!setting.ends.recv().await.unwrap().panicked);
    assert_eq!(mailbox.try_send(Echo(1)), Err(Refused::Closed(Echo(1))));
    assert_eq!(setting.activate(1).ask(Echo(6)).await, Ok(6));
}

#[actix::test]
async fn an_actor_that_cannot_be_made_is_told_of_and_forgotten() {
    let mut setting = setting(1);
    let mailbox = setting.registry.get_or_activate(&1, |_life| panic!("on purpose")).unwrap();
    assert!(setting.ends.recv().await.unwrap().panicked);
    assert!(mailbox.is_closed() && setting.registry.is_empty());
    assert_eq!(setting.activate(1).ask(Echo(1)).await, Ok(1));
}

#[actix::test]
async fn an_arbiter_that_has_stopped_gives_a_closed_mailbox() {
    let mut setting = setting(1);
    let arbiter = setting.registry.arbiters().of(&1);
    arbiter.stop();
    while arbiter.alive() {
        thread::yield_now();
    }
    assert!(setting.activate(1).is_closed());
    assert!(!setting.ends.recv().await.unwrap().panicked);
    assert!(setting.registry.is_empty());
    assert_eq!(setting.world.made.load(Ordering::SeqCst), 0);
}

#[actix::test]
async fn actors_end_with_their_registry() {
    let Setting { registry, world, .. } = setting(1);
    let mailbox = registry.get_or_activate(&1, world.make()).unwrap();
    assert_eq!(mailbox.ask(Echo(1)).await, Ok(1));
    drop(registry);
    assert!(mailbox.ask(Hold(1)).await.is_err());
    assert!(mailbox.is_closed());
}

#[test]
fn arbiters_need_a_system() {
    assert!(matches!(Arbiters::new(1).err(), Some(ArbitersError::NoSystem)));
}

#[actix::test]
async fn a_key_keeps_its_arbiter_and_keys_are_spread() {
    let arbiters = Arbiters::new(4).unwrap();
    let mut threads = std::collections::HashSet::new();
    for key in 0..64 {
        let (tell, told) = tokio::sync::oneshot::channel();
        let (again, told_again) = tokio::sync::oneshot::channel();
        arbiters.of(&key).spawn_fn(move || tell.send(thread::current().id()).unwrap());
        arbiters.of(&key).spawn_fn(move || again.send(thread::current().id()).unwrap());
        let thread = told.await.unwrap();
        assert_eq!(thread, told_again.await.unwrap());
        threads.insert(thread);
    }
    assert_eq!((arbiters.count(), threads.len()), (4, 4));
    arbiters.join();
}
