//! Does what is asked for: who, with which account, and what of it is told by webhook.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use iassistance_domain::Timestamp;

use crate::accounts::Account;
use crate::act::{Act, Deed, Done, GivenFile};
use crate::contacts::Contact;
use crate::core::{Core, FeedEvent, TEXT_CHARS_MAX};
use crate::media::{self, File, Origin};
use crate::model_audio;
use crate::settings::SimulatorError;
use crate::shown::{Choice, MediaKind, Shown, ShownKind, ShownMedia};
use crate::world::{Author, TranscriptItem};
use crate::{scene_meta, scene_social, scene_whatsapp};

const FILE_BYTES_MAX: usize = 25 * 1024 * 1024;
pub(crate) const NOT_HERE: SimulatorError = SimulatorError::Act("this product has no such thing");

/// Somebody, an account, and what is done between them.
pub(crate) struct Scene<'a> {
    pub core: &'a Arc<Core>,
    pub account: Arc<Account>,
    pub contact: Contact,
    pub now: Timestamp,
    /// The message that is answered, looked up.
    pub quoting: Option<String>,
    pub came_from_ad: bool,
    pub forwarded: bool,
}

/// A file that was put into the store.
pub(crate) struct StoredFile {
    pub id: String,
    pub file: File,
    pub caption: String,
    pub shown: Shown,
}

/// Does a deed.
pub(crate) fn play(core: &Arc<Core>, deed: Deed) -> Result<Done, SimulatorError> {
    let account = core.account(deed.account.as_deref())?;
    if core.webhooks.is_full() {
        return Err(SimulatorError::Backlog);
    }
    check(&deed.act)?;
    if scene_meta::is_metas(&deed.act) {
        return scene_meta::play(core, &account, deed);
    }
    let who = deed.contact.ok_or(SimulatorError::Act("say who does it: contact"))?;
    let contact = meet(core, &account, &who)?;
    let mut scene = Scene {
        core,
        account,
        contact,
        now: core.clock.now(),
        quoting: None,
        came_from_ad: deed.came_from_ad,
        forwarded: deed.forwarded,
    };
    scene.quoting = match deed.quoting {
        // WhatsApp quotes what the simulator need not know of: another process may have sent it.
        Some(id) if id != "last" => Some(id),
        Some(last) => Some(scene.item(&last, |item| item.shown.kind != ShownKind::Reaction)?.wamid),
        None => None,
    };
    let done = if scene.account.is_whatsapp() {
        scene_whatsapp::play(&scene, deed.act)
    } else {
        scene_social::play(&scene, deed.act)
    };
    core.changed();
    done.map(|wamid| Done { wamid })
}

/// The contact, added if there is none; known by an id of their own on Messenger and Instagram.
fn meet(core: &Core, account: &Account, who: &str) -> Result<Contact, SimulatorError> {
    let mut world = core.world();
    let (wa_id, added) = world.find_or_add(who)?;
    if !account.is_whatsapp() {
        world.scoped_id(&wa_id, account);
    }
    let contact = world.contacts.get(&wa_id).map(|entry| entry.contact.clone());
    let contact = contact.ok_or(SimulatorError::BadContact)?;
    if added {
        core.publish(FeedEvent::Contact { contact: contact.clone() });
    }
    Ok(contact)
}

fn check(act: &Act) -> Result<(), SimulatorError> {
    let (Act::Text { text }
    | Act::Edit { text, .. }
    | Act::StoryReply { text }
    | Act::Comment { text, .. }
    | Act::OwnerText { text }) = act
    else {
        return Ok(());
    };
    if (1..=TEXT_CHARS_MAX).contains(&text.chars().count()) {
        return Ok(());
    }
    Err(SimulatorError::TextLength { max: TEXT_CHARS_MAX })
}

impl Scene<'_> {
    /// A message of this conversation by its id, or the newest that fits.
    pub fn item(
        &self,
        wamid: &str,
        fits: impl Fn(&TranscriptItem) -> bool,
    ) -> Result<TranscriptItem, SimulatorError> {
        let world = self.core.world();
        let found = world.find_message(&self.contact.wa_id, self.account.id(), wamid, fits);
        found.cloned().ok_or(SimulatorError::UnknownMessage)
    }

    /// A message of the contact's own that is still there.
    pub fn own(&self, wamid: &str) -> Result<TranscriptItem, SimulatorError> {
        let own = |item: &TranscriptItem| {
            item.author == Author::Contact && !item.removed && item.shown.kind != ShownKind::Comment
        };
        self.item(wamid, own).and_then(|item| {
            if own(&item) {
                Ok(item)
            } else {
                Err(SimulatorError::Act("only one's own message can be changed"))
            }
        })
    }

    /// What a message offers under this name, and the message.
    pub fn offered(&self, of: &str, wanted: &str) -> Result<(TranscriptItem, Choice), SimulatorError> {
        let item = self.item(of, |item| item.shown.choice(wanted).is_some())?;
        let choice = item.shown.choice(wanted).cloned().ok_or(SimulatorError::UnknownChoice)?;
        Ok((item, choice))
    }

    /// Remembers a message and shows it.
    pub fn keep(&self, item: &TranscriptItem) {
        self.core.world().keep(&self.contact.wa_id, item.clone());
        self.core.publish(FeedEvent::Message {
            contact: self.contact.wa_id.clone(),
            message: Box::new(item.clone()),
        });
    }

    /// Changes a message that is kept and shows it anew.
    pub fn change(&self, wamid: &str, change: impl FnOnce(&mut TranscriptItem)) {
        let mut world = self.core.world();
        if let Some(message) = world.message_mut(wamid) {
            change(&mut message.item);
            let message = Box::new(message.item.clone());
            self.core.publish(FeedEvent::Message { contact: self.contact.wa_id.clone(), message });
        }
    }

    /// Takes a message back: its words and files are gone.
    pub fn remove(&self, wamid: &str) {
        self.change(wamid, |item| {
            item.removed = true;
            item.text.clear();
            item.shown = Shown::default();
        });
    }

    /// The contact did something that lets the business write.
    pub fn open_window(&self) {
        if let Some(pair) = self.core.world().pair_mut(&self.contact.wa_id, &self.account) {
            pair.last_inbound = Some(self.now);
        }
    }

    /// A new message of this conversation.
    pub fn message(&self, author: Author, text: &str, shown: Shown) -> TranscriptItem {
        let direction = if author == Author::Contact {
            crate::world::Direction::FromContact
        } else {
            crate::world::Direction::ToContact
        };
        let wamid = if self.account.is_whatsapp() {
            self.core.new_wamid(&self.contact, direction)
        } else {
            self.core.new_mid(&self.account)
        };
        TranscriptItem {
            wamid,
            quoting: self.quoting.clone(),
            shown,
            ..TranscriptItem::new(self.account.id(), author, self.now, text.to_owned())
        }
    }

    /// Puts a file into the store.
    pub fn store(&self, given: GivenFile) -> Result<StoredFile, SimulatorError> {
        let (bytes, sample_mime, sample_name) = media::sample(given.media);
        let (bytes, mime) = match given.bytes {
            None if given.media == MediaKind::Voice && !given.caption.is_empty() => {
                (model_audio::speak(bytes, &given.caption), sample_mime.to_owned())
            }
            None => (Bytes::from_static(bytes), sample_mime.to_owned()),
            Some(text) => {
                let bytes = STANDARD.decode(text).map_err(|_| SimulatorError::Act("bytes are base64"))?;
                let mime = given.mime.ok_or(SimulatorError::Act("bytes need their mime type"))?;
                (Bytes::from(bytes), mime)
            }
        };
        if bytes.is_empty() || bytes.len() > FILE_BYTES_MAX || mime.len() > 100 || !mime.contains('/') {
            return Err(SimulatorError::Act("a file has 1 byte to 25 MB and a mime type"));
        }
        let name = given.name.unwrap_or_else(|| sample_name.to_owned());
        let file = File {
            kind: given.media,
            mime,
            bytes,
            name: Some(name.clone()),
            account: self.account.id().to_owned(),
            origin: Origin::Inbound,
            link: None,
            at: self.now,
        };
        let id = self.core.files().keep(file.clone());
        let shown = ShownMedia { kind: given.media, id: Some(id.clone()), link: None, name: Some(name) };
        let shown = Shown { media: vec![shown], ..Shown::of(ShownKind::Media) };
        Ok(StoredFile { id, file, caption: given.caption, shown })
    }
}
