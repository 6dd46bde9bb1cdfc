use std::sync::Mutex;

use iassistance_domain::clock::BoxFuture;
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
                    self.delivered.lock().unwrap().push(mail.text.clone());
                    Ok(())
                }
            }
        })
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

fn start(failures: &[bool]) -> (Arc<Scripted>, Mailer, Postman) {
    let clock = ManualClock::at(Timestamp::from_secs(1_790_000_000));
    let post = Arc::new(Scripted {
        failures: Mutex::new(failures.to_vec()),
        clock: clock.clone(),
        ..Scripted::default()
    });
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let post_of = Arc::<Scripted>::clone(&post) as Arc<dyn Post>;
    let (mailer, postman) =
        Mailer::new(&mail_settings(), "Desk", post_of, &clock, Arc::new(SeededEntropy::new(1)));
    (post, mailer, postman)
}

/// Lets the postman work until nothing is left to do but to wait.
async fn settle(postman: &mut (impl Future<Output = ()> + Unpin)) {
    for _ in 0..10 {
        _ = futures::poll!(&mut *postman);
    }
}

#[tokio::test]
async fn a_mail_that_did_not_arrive_is_tried_again_later_and_later() {
    let (post, mailer, postman) = start(&[false, false, false]);
    let mut postman = Box::pin(postman.run());
    let start = post.clock.now();
    mailer.send(&ada(), &Letter::PasswordReset { link: &url(), minutes: 30 }).unwrap();
    settle(&mut postman).await;
    for pause in [10_000, 20_000, 40_000] {
        post.clock.advance_millis(pause - 1);
        settle(&mut postman).await;
        post.clock.advance_millis(1);
        settle(&mut postman).await;
    }
    let tried: Vec<_> = post.tried.lock().unwrap().iter().map(|(at, _)| at.millis_since(start)).collect();
    assert_eq!(tried, [0, 10_000, 30_000, 70_000]);
    assert_eq!(post.delivered.lock().unwrap().len(), 1);
    assert!(post.delivered.lock().unwrap()[0].contains("Olá, Ada Lovelace!"));
}

#[tokio::test]
async fn what_never_arrives_is_given_up_and_holds_nothing_up() {
    let (post, mailer, postman) = start(&[false; 5]);
    let mut postman = Box::pin(postman.run());
    mailer.send(&ada(), &Letter::PasswordReset { link: &url(), minutes: 30 }).unwrap();
    settle(&mut postman).await;
    post.failures.lock().unwrap().clear();
    mailer.send(&ada(), &Letter::EmailChange { link: &url(), minutes: 30 }).unwrap();
    settle(&mut postman).await;
    assert_eq!(post.delivered.lock().unwrap().len(), 1, "the second does not wait for the first");

    let (post, mailer, postman) = start(&[false; 20]);
    let mut postman = Box::pin(postman.run());
    mailer.send(&ada(), &Letter::PasswordReset { link: &url(), minutes: 30 }).unwrap();
    for _ in 0..20 {
        settle(&mut postman).await;
        post.clock.advance_millis(3_600_000);
    }
    assert_eq!(post.tried.lock().unwrap().len(), 6, "as often as the settings say");

    let (post, mailer, postman) = start(&[true]);
    let mut postman = Box::pin(postman.run());
    mailer.send(&ada(), &Letter::PasswordReset { link: &url(), minutes: 30 }).unwrap();
    settle(&mut postman).await;
    post.clock.advance_millis(3_600_000);
    settle(&mut postman).await;
    assert_eq!(post.tried.lock().unwrap().len(), 1, "a refusal for good is not tried again");
}

#[tokio::test]
async fn only_so_many_wait_and_the_rest_is_delivered_at_the_end() {
    let (post, mailer, postman) = start(&[]);
    let letter = |_: u32| mailer.send(&ada(), &Letter::PasswordReset { link: &url(), minutes: 30 });
    let taken = (0..400).filter(|number| letter(*number).is_ok()).count();
    assert_eq!(taken, 256);
    assert_eq!(letter(0), Err(MailError::Full));
    drop(mailer);
    postman.run().await;
    assert_eq!(post.delivered.lock().unwrap().len(), 256);
}

#[tokio::test]
async fn a_folder_holds_mails_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let settings = MailSettings { folder: folder.path().join("mail"), ..mail_settings() };
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(Timestamp::from_secs(1_790_000_000)));
    let (mailer, postman) =
        Mailer::new(&settings, "Desk", post(&settings).unwrap(), &clock, Arc::new(SeededEntropy::new(1)));
    mailer.send(&ada(), &Letter::PasswordReset { link: &url(), minutes: 30 }).unwrap();
    let eva = Recipient { name: Pii::new("Éva\r\nBcc: x@evil.example".to_owned()), ..ada() };
    mailer.send(&eva, &Letter::EmailChange { link: &url(), minutes: 30 }).unwrap();
    drop(mailer);
    postman.run().await;
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
    let mail = Mail {
        to: ada(),
        subject: "s".to_owned(),
        text: "t".to_owned(),
        at: Timestamp::from_secs(1_790_000_000),
        id: "a".to_owned(),
    };
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
    let mail = Mail {
        to: ada(),
        subject: "Uma nova senha".to_owned(),
        text: "https://desk.example/reset?token=canary-token\n".to_owned(),
        at: Timestamp::from_secs(1_790_000_000),
        id: "a".to_owned(),
    };
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
