use std::collections::BTreeMap;
use std::sync::Mutex;

use iassistance_domain::pii::Deliver;
use iassistance_domain::{ManualClock, SeededEntropy};
use url::Url;

use super::*;
use crate::fakes::mail_settings;

/// A post that fails as often as it is told, and keeps what it delivered.
#[derive(Default)]
struct Scripted {
    failures: Mutex<Vec<bool>>,
    tried: Mutex<Vec<(Timestamp, String)>>,
    delivered: Mutex<Vec<String>>,
    clock: ManualClock,
}

impl Post for Scripted {
    fn deliver<'a>(&'a self, mail: &'a Mail) -> BoxFuture<'a, Result<(), PostError>> {
        self.tried.lock().unwrap().push((self.clock.now(), mail.subject.clone()));
        let failure = self.failures.lock().unwrap().pop();
        Box::pin(async move {
            match failure {
                Some(permanent) => Err(PostError { reason: "no".to_owned(), permanent }),
                None => {
                    self.delivered.lock().unwrap().push(mail.text.reveal(Deliver).clone());
                    Ok(())
                }
            }
        })
    }
}

/// An outbox that outlives its postman.
#[derive(Default)]
struct Kept {
    mails: Mutex<BTreeMap<MailId, Mail>>,
    given_up: Mutex<Vec<u32>>,
}

impl Kept {
    fn len(&self) -> usize {
        self.mails.lock().unwrap().len()
    }
}

impl Outbox for Kept {
    fn kept(&self, limit: usize) -> BoxFuture<'_, Result<Vec<Mail>, OutboxError>> {
        let kept = self.mails.lock().unwrap().values().take(limit).cloned().collect();
        Box::pin(async move { Ok(kept) })
    }

    fn keep(&self, mail: Mail) -> BoxFuture<'_, Result<(), OutboxError>> {
        self.mails.lock().unwrap().insert(mail.id, mail);
        Box::pin(async { Ok(()) })
    }

    fn forget(&self, id: MailId) -> BoxFuture<'_, Result<(), OutboxError>> {
        self.mails.lock().unwrap().remove(&id);
        Box::pin(async { Ok(()) })
    }

    fn give_up(&self, _: MailId, attempts: u32) -> BoxFuture<'_, ()> {
        self.given_up.lock().unwrap().push(attempts);
        Box::pin(async {})
    }
}

fn ada() -> Recipient {
    Recipient {
        email: Pii::new("ada@example.com".to_owned()),
        name: Pii::new("Ada Lovelace".to_owned()),
        language: Language::Pt,
    }
}

fn url() -> Url {
    Url::parse("https://desk.example/reset?token=canary-token").unwrap()
}

struct Desk {
    post: Arc<Scripted>,
    kept: Arc<Kept>,
}

impl Desk {
    fn new(failures: &[bool]) -> Self {
        let clock = ManualClock::at(Timestamp::from_secs(1_790_000_000));
        let post = Scripted { failures: Mutex::new(failures.to_vec()), clock, ..Scripted::default() };
        Self { post: Arc::new(post), kept: Arc::default() }
    }

    /// A server's life; the one before it has ended.
    fn open(&self) -> (Mailer, Postman) {
        let clock: Arc<dyn Clock> = Arc::new(self.post.clock.clone());
        let ways = (Arc::<Kept>::clone(&self.kept) as _, Arc::<Scripted>::clone(&self.post) as _);
        Mailer::new(&mail_settings(), "Desk", ways, &clock, Arc::new(SeededEntropy::new(1)))
    }

    fn tries(&self) -> usize {
        self.post.tried.lock().unwrap().len()
    }

    /// After how many tries each was given up.
    fn given_up(&self) -> Vec<u32> {
        self.kept.given_up.lock().unwrap().clone()
    }

    fn delivered(&self) -> Vec<String> {
        self.post.delivered.lock().unwrap().clone()
    }
}

fn never() -> CancellationToken {
    CancellationToken::new()
}

fn reset(mailer: &Mailer) -> Result<(), MailError> {
    mailer.send(&ada(), &Letter::PasswordReset { link: &url(), minutes: 30 })
}

fn mail(subject: &str, text: &str) -> Mail {
    let at = Timestamp::from_secs(1_790_000_000);
    let Recipient { email, name, language } = ada();
    Mail {
        id: MailId::new(at, &SeededEntropy::new(1)),
        email,
        name,
        language,
        subject: subject.to_owned(),
        text: Pii::new(text.to_owned()),
        at,
        until: at.plus_millis(1),
        attempts: 0,
        next_at: at,
    }
}

/// Lets the postman work until nothing is left to do but to wait.
async fn settle(postman: &mut (impl Future<Output = ()> + Unpin)) {
    for _ in 0..10 {
        _ = futures::poll!(&mut *postman);
    }
}

#[tokio::test]
async fn a_mail_that_did_not_arrive_is_tried_again_later_and_later() {
    let desk = Desk::new(&[false, false, false]);
    let (mailer, postman) = desk.open();
    let mut postman = Box::pin(postman.run(never()));
    let start = desk.post.clock.now();
    reset(&mailer).unwrap();
    settle(&mut postman).await;
    for pause in [10_000, 20_000, 40_000] {
        assert_eq!(desk.kept.len(), 1);
        desk.post.clock.advance_millis(pause - 1);
        settle(&mut postman).await;
        desk.post.clock.advance_millis(1);
        settle(&mut postman).await;
    }
    let tried = desk.post.tried.lock().unwrap();
    let tried: Vec<_> = tried.iter().map(|(at, _)| at.millis_since(start)).collect();
    assert_eq!(tried, [0, 10_000, 30_000, 70_000]);
    assert_eq!((desk.delivered().len(), desk.kept.len()), (1, 0));
    assert!(desk.delivered()[0].contains("Olá, Ada Lovelace!"));
}

#[tokio::test]
async fn what_never_arrives_is_given_up_when_it_is_of_no_use_and_holds_nothing_up() {
    let desk = Desk::new(&[false; 5]);
    let (mailer, postman) = desk.open();
    let mut postman = Box::pin(postman.run(never()));
    reset(&mailer).unwrap();
    settle(&mut postman).await;
    desk.post.failures.lock().unwrap().clear();
    mailer.send(&ada(), &Letter::EmailChange { link: &url(), minutes: 30 }).unwrap();
    settle(&mut postman).await;
    assert_eq!(desk.delivered().len(), 1, "the second does not wait for the first");

    let desk = Desk::new(&[false; 100]);
    let (mailer, postman) = desk.open();
    let mut postman = Box::pin(postman.run(never()));
    reset(&mailer).unwrap();
    mailer.send(&ada(), &Letter::CredentialsChanged { link: &url() }).unwrap();
    for _ in 0..30 * 6 {
        settle(&mut postman).await;
        desk.post.clock.advance_millis(10_000);
    }
    assert_eq!((desk.kept.len(), desk.given_up()), (1, vec![8]), "the link works for half an hour");
    for _ in 0..25 {
        settle(&mut postman).await;
        desk.post.clock.advance_millis(3_600_000);
    }
    assert_eq!((desk.kept.len(), desk.given_up().len()), (0, 2), "the other is given up after a day");

    let desk = Desk::new(&[true]);
    let (mailer, postman) = desk.open();
    let mut postman = Box::pin(postman.run(never()));
    reset(&mailer).unwrap();
    settle(&mut postman).await;
    desk.post.clock.advance_millis(3_600_000);
    settle(&mut postman).await;
    assert_eq!((desk.tries(), desk.given_up()), (1, vec![1]), "a refusal for good is not tried again");
}

#[tokio::test]
async fn what_a_stop_leaves_goes_on_at_the_next_start() {
    let desk = Desk::new(&[false]);
    let (mailer, postman) = desk.open();
    let stopping = never();
    let mut running = Box::pin(postman.run(stopping.clone()));
    reset(&mailer).unwrap();
    settle(&mut running).await;
    mailer.send(&ada(), &Letter::EmailChange { link: &url(), minutes: 30 }).unwrap();
    stopping.cancel();
    running.await;
    assert_eq!((desk.tries(), desk.kept.len()), (1, 2), "one that failed, one that was only queued");
    assert_eq!(reset(&mailer), Err(MailError::Closed));

    let (_mailer, postman) = desk.open();
    let mut running = Box::pin(postman.run(never()));
    settle(&mut running).await;
    assert_eq!((desk.delivered().len(), desk.kept.len()), (1, 1), "the other is not due yet");
    desk.post.clock.advance_millis(10_000);
    settle(&mut running).await;
    assert_eq!((desk.delivered().len(), desk.kept.len()), (2, 0));
}

#[tokio::test]
async fn only_so_many_wait() {
    let desk = Desk::new(&[]);
    let (mailer, postman) = desk.open();
    assert_eq!((0..400).filter(|_| reset(&mailer).is_ok()).count(), 256);
    assert_eq!(reset(&mailer), Err(MailError::Full));
    drop(mailer);
    postman.run(never()).await;
    assert_eq!((desk.delivered().len(), desk.kept.len()), (256, 0));
}

#[tokio::test]
async fn a_folder_holds_mails_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let settings = MailSettings { folder: folder.path().join("mail"), ..mail_settings() };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_secs(1_790_000_000)));
    let ways = (Arc::<Kept>::default() as _, post(&settings).unwrap());
    let (mailer, postman) = Mailer::new(&settings, "Desk", ways, &clock, Arc::new(SeededEntropy::new(1)));
    mailer.send(&ada(), &Letter::PasswordReset { link: &url(), minutes: 30 }).unwrap();
    let eva = Recipient { name: Pii::new("Éva\r\nBcc: x@evil.example".to_owned()), ..ada() };
    mailer.send(&eva, &Letter::EmailChange { link: &url(), minutes: 30 }).unwrap();
    drop(mailer);
    postman.run(never()).await;
    let mut files: Vec<_> =
        std::fs::read_dir(&settings.folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert_eq!(files.len(), 2);
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&settings.folder), mode(&files[0])), (0o700, 0o600));
    let texts: Vec<_> = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let all = texts.concat();
    for part in [
        "From: IAssistance <no-reply@localhost>\r\n",
        "To: \"Ada Lovelace\" <ada@example.com>\r\n",
        "Date: Mon, 21 Sep 2026 14:13:20 +0000\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "Content-Type: text/plain; charset=utf-8\r\n",
    ] {
        assert!(all.contains(part), "{part} in {all}");
    }
    assert!(!all.contains("\r\nBcc:"), "{all}");
}

#[tokio::test]
async fn the_folder_does_not_grow_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let settings = MailSettings { folder: folder.path().to_owned(), ..mail_settings() };
    for number in 0..1_003 {
        std::fs::write(folder.path().join(format!("{number:015}-x.eml")), "x").unwrap();
    }
    std::fs::write(folder.path().join("notes.txt"), "x").unwrap();
    let mail = mail("s", "t");
    FilePost::new(&settings, false).unwrap().deliver(&mail).await.unwrap();
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 1_001);
    assert!(!names.iter().any(|name| name == "000000000000003-x.eml"));
    assert!(names.iter().any(|name| name == "000000000000004-x.eml"));
}

/// A mail server that says `answers` in turn, and what it was told.
async fn server(answers: &'static [&'static str]) -> (u16, tokio::task::JoinHandle<String>) {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
    let told = tokio::spawn(async move {
        let (connection, _) = listener.accept().await.unwrap();
        let mut lines = BufReader::new(connection);
        lines.write_all(b"220 mail.example\r\n").await.unwrap();
        let (mut told, mut in_data) = (String::new(), false);
        let mut answers = answers.iter();
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).await.unwrap() == 0 {
                return told;
            }
            told.push_str(&line);
            if in_data && line != ".\r\n" {
                continue;
            }
            let Some(answer) = answers.next() else { return told };
            in_data = answer.starts_with("354");
            lines.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (port, told)
}

async fn sent(answers: &'static [&'static str]) -> (Result<(), PostError>, String) {
    use iassistance_config::{MailTransport, SmtpSecurity};

    let (port, told) = server(answers).await;
    let settings = MailSettings {
        transport: MailTransport::Smtp,
        smtp_host: "127.0.0.1".to_owned(),
        smtp_port: port,
        smtp_security: SmtpSecurity::Plain,
        ..mail_settings()
    };
    let mail = mail("Uma nova senha", "https://desk.example/reset?token=canary-token\n");
    let result = post(&settings).unwrap().deliver(&mail).await;
    (result, told.await.unwrap())
}

#[tokio::test]
async fn a_server_is_handed_the_mail() {
    let (result, told) = sent(&[
        "250 mail.example\r\n",
        "250 ok\r\n",
        "250 ok\r\n",
        "354 go on\r\n",
        "250 queued\r\n",
        "221 bye\r\n",
    ])
    .await;
    assert_eq!(result, Ok(()));
    assert!(
        told.contains("MAIL FROM:<no-reply@localhost>") && told.contains("RCPT TO:<ada@example.com>"),
        "{told}"
    );
    assert!(told.contains("token=canary-token"), "{told}");
}

#[tokio::test]
async fn what_a_server_refuses_is_told_by_its_code_alone() {
    let (result, _) =
        sent(&["250 mail.example\r\n", "250 ok\r\n", "550 no ada@example.com here\r\n", "221 bye\r\n"]).await;
    let error = result.unwrap_err();
    assert!(error.permanent);
    assert_eq!(error.to_string(), "the mail server refused it with code 550");
    let (result, _) = sent(&["250 mail.example\r\n", "451 later, ada@example.com\r\n", "221 bye\r\n"]).await;
    let error = result.unwrap_err();
    assert!(!error.permanent);
    assert_eq!(error.to_string(), "the mail server refused it with code 451");
}
