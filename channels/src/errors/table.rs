//! The codes, as data.

use iassistance_domain::delivery::ProblemClass;

/// A code and what it means.
pub(super) struct Row {
    pub(super) code: i64,
    pub(super) subcode: Option<i64>,
    pub(super) class: ProblemClass,
    pub(super) title: &'static str,
    /// How long it takes, seconds, where the code implies it.
    pub(super) wait_s: Option<u64>,
}

const fn row(code: i64, class: ProblemClass, title: &'static str) -> Row {
    Row { code, subcode: None, class, title, wait_s: None }
}

impl Row {
    const fn subcode(mut self, subcode: i64) -> Self {
        self.subcode = Some(subcode);
        self
    }

    const fn wait_s(mut self, seconds: u64) -> Self {
        self.wait_s = Some(seconds);
        self
    }
}

/// For every other code from 200 to 299.
pub(super) const PERMISSION: &str =
    "the access token lacks a permission, or it was taken back: check the app's permissions";
/// For media at an address whose server could not give them for the moment.
pub(super) const LINK_HOST: &str =
    "the server that holds the media could not give them for the moment: it is tried once more";
/// For an unknown code that may pass.
pub(super) const UNKNOWN_PASSING: &str = "Meta reports an error that is not known here; look its code up in Meta's list of error codes if it stays";
/// For an unknown code that will not pass.
pub(super) const UNKNOWN_REFUSAL: &str = "Meta refused the send with an error that is not known here: look its code up in Meta's list of error codes";

/// Meta: Cloud API, "Error codes".
#[rustfmt::skip]
pub(super) const WHATSAPP: &[Row] = &[
    row(0, ProblemClass::Auth, "Meta did not accept the access token: connect the channel with a new one"),
    row(1, ProblemClass::TransientBounded, "Meta could not process the send and does not say why: it is tried again a few times"),
    row(2, ProblemClass::Transient, "Meta's service is unavailable for the moment: it is tried again"),
    row(3, ProblemClass::Auth, "the access token may not use this function: check the app's permissions"),
    row(4, ProblemClass::ThrottleApp, "the Meta app made too many calls: all its sends wait for a while"),
    row(10, ProblemClass::Auth, "the access token lacks a permission: grant whatsapp_business_messaging and connect the channel again"),
    row(33, ProblemClass::AccountBlock, "the number was deleted or is not shared with the app: check the channel's phone number id"),
    row(100, ProblemClass::Request, "Meta found a parameter of the send invalid: check the recipient and the content"),
    row(100, ProblemClass::AccountBlock, "the phone number id does not exist or is not shared with the access token: check the channel").subcode(33),
    row(190, ProblemClass::Auth, "the access token expired or was revoked: connect the channel with a new one"),
    row(200, ProblemClass::Auth, "the access token lacks a permission, or it was taken back: check the app's permissions"),
    row(368, ProblemClass::AccountBlock, "the business account is blocked for a time for a breach of policy: see its quality page at Meta"),
    row(613, ProblemClass::ThrottleApp, "too many calls in a short time: the app's sends wait for a while"),
    row(80_007, ProblemClass::ThrottleAccount, "the business account made too many calls: its sends wait for a while"),
    row(130_429, ProblemClass::ThrottleSender, "the number sends faster than Meta allows it: its sends slow down"),
    row(130_472, ProblemClass::Drop, "Meta holds this message back because the contact is part of an experiment: it is not sent again"),
    row(130_497, ProblemClass::Recipient, "the business may not write to people in this country: see Meta's list of restricted countries"),
    row(131_000, ProblemClass::TransientBounded, "something went wrong at Meta: it is tried again a few times"),
    row(131_005, ProblemClass::Auth, "the access token was denied access: check its permissions and that it covers this number"),
    row(131_008, ProblemClass::Request, "the send lacks a parameter that Meta requires: please report this"),
    row(131_009, ProblemClass::Request, "a value in the send is invalid, or the message that it refers to is older than 30 days"),
    row(131_016, ProblemClass::Transient, "the service is overloaded or being repaired: it is tried again"),
    row(131_021, ProblemClass::Request, "the recipient is the sending number itself: a number cannot write to itself"),
    row(131_026, ProblemClass::Recipient, "the contact cannot be reached: no WhatsApp there, an old version, or new terms not accepted"),
    row(131_031, ProblemClass::AccountBlock, "the business account is locked or its PIN is wrong: see the account's status at Meta"),
    row(131_037, ProblemClass::AccountBlock, "the number's display name is not approved yet: have it approved in WhatsApp Manager"),
    row(131_042, ProblemClass::AccountBlock, "there is a problem with the payment method: mend it in the account's billing settings at Meta"),
    row(131_045, ProblemClass::AccountBlock, "the number is not registered properly: register it again"),
    row(131_047, ProblemClass::Window, "more than 24 hours since the contact last wrote: only a template may be sent, or wait until they write"),
    row(131_048, ProblemClass::AccountBlock, "too many of this number's messages were blocked or reported: stop sending and see its quality rating"),
    row(131_049, ProblemClass::Drop, "Meta did not deliver this one, to keep marketing messages few: wait a day at least"),
    row(131_050, ProblemClass::OptOut, "the contact stopped marketing messages of this business: send them none"),
    row(131_051, ProblemClass::Request, "this type of message is not supported here"),
    row(131_052, ProblemClass::Drop, "Meta could not fetch the media that the contact sent: ask them to send it again"),
    row(131_053, ProblemClass::Request, "Meta could not take the media: check its type, its size and that its address can be reached"),
    row(131_055, ProblemClass::Request, "this way of sending is not allowed for the number: check how it is set up"),
    row(131_056, ProblemClass::ThrottlePair, "too many messages to this contact in a short time: the conversation waits for a while"),
    row(131_057, ProblemClass::Transient, "the number is in maintenance, for about a minute: it is tried again").wait_s(60),
    row(131_064, ProblemClass::AccountBlock, "the account's templates are limited while Meta checks their category: see WhatsApp Manager"),
    row(132_000, ProblemClass::Request, "the template has another number of parameters: give as many as it has"),
    row(132_001, ProblemClass::Request, "the template does not exist in this language or is not approved: check its name and language"),
    row(132_005, ProblemClass::Request, "the template is too long once it is filled in: shorten its parameters"),
    row(132_007, ProblemClass::Request, "the template's text breaks a formatting rule: correct it in WhatsApp Manager"),
    row(132_012, ProblemClass::Request, "a parameter has another format than the template asks for"),
    row(132_015, ProblemClass::Request, "the template is paused for low quality: improve it or choose another"),
    row(132_016, ProblemClass::Request, "the template was disabled for low quality: make a new one"),
    row(132_068, ProblemClass::Request, "the flow is blocked: correct it in WhatsApp Manager"),
    row(132_069, ProblemClass::ThrottleSender, "the flow is held to 10 messages per hour: its sends wait"),
    row(133_000, ProblemClass::Request, "an earlier deregistration of the number did not finish: deregister it again"),
    row(133_004, ProblemClass::Transient, "the registration service is unavailable for the moment: it is tried again"),
    row(133_005, ProblemClass::Request, "the two-step PIN is wrong: enter the right one, since too many wrong ones lock the number"),
    row(133_006, ProblemClass::AccountBlock, "the number must be verified again before it can be registered"),
    row(133_008, ProblemClass::ThrottleAccount, "too many wrong PINs: wait as long as Meta says"),
    row(133_009, ProblemClass::ThrottleAccount, "the PIN was entered too quickly: wait as long as Meta says"),
    row(133_010, ProblemClass::AccountBlock, "the number is not registered with the Cloud API: register it"),
    row(133_015, ProblemClass::Transient, "the number was deleted a moment ago: it is tried again in five minutes").wait_s(300),
    row(133_016, ProblemClass::ThrottleAccount, "the number was registered and deregistered too often: wait up to three days").wait_s(259_200),
    row(134_011, ProblemClass::AccountBlock, "the terms of payments are not accepted: accept them at Meta"),
    row(134_101, ProblemClass::Transient, "the template is still being prepared: it is tried again in ten minutes").wait_s(600),
    row(135_000, ProblemClass::Request, "Meta could not use the parameters of the send and does not say why: check the content"),
];

/// Meta: Messenger Platform, "Error codes".
#[rustfmt::skip]
pub(super) const PAGE_MESSAGING: &[Row] = &[
    row(1, ProblemClass::TransientBounded, "Meta could not process the send and does not say why: it is tried again a few times"),
    row(2, ProblemClass::TransientBounded, "Meta's service is unavailable, or the person blocked the page: it is tried again a few times"),
    row(4, ProblemClass::ThrottleApp, "the Meta app made too many calls: all its sends wait for a while"),
    row(9, ProblemClass::ThrottleSender, "the page sends faster than Meta allows it: its sends slow down").subcode(2_018_352),
    row(10, ProblemClass::Auth, "the access token lacks a permission: grant it and connect the channel again"),
    row(10, ProblemClass::Window, "the time for answers is over: wait until the person writes").subcode(2_018_278),
    row(10, ProblemClass::Window, "the time for answers is over: wait until the person writes").subcode(2_018_065),
    row(10, ProblemClass::Window, "the time for answers is over: wait until the person writes").subcode(2_534_022),
    row(10, ProblemClass::Recipient, "the person cannot receive messages at present").subcode(2_018_108),
    row(10, ProblemClass::AccountBlock, "the account is restricted: see its status at Meta").subcode(1_893_063),
    row(10, ProblemClass::Request, "Meta does not allow a link in this message: remove it").subcode(2_534_077),
    row(17, ProblemClass::ThrottleApp, "too many calls in a short time: the app's sends wait for a while"),
    row(32, ProblemClass::ThrottleSender, "the page made too many calls: its sends slow down"),
    row(80_006, ProblemClass::ThrottleSender, "the page sends more than its limit: its sends slow down"),
    row(100, ProblemClass::Request, "Meta found a parameter of the send invalid: check the recipient and the content"),
    row(100, ProblemClass::Recipient, "Meta knows no such person for this page: the id may belong to another page").subcode(2_018_001),
    row(100, ProblemClass::TransientBounded, "Meta could not fetch the file: check that its address can be reached").subcode(2_018_008),
    row(100, ProblemClass::Request, "a message and a sender action were sent together: please report this").subcode(2_018_014),
    row(100, ProblemClass::Request, "the attachment is of another type than was said").subcode(2_018_047),
    row(100, ProblemClass::Request, "the attachment is too large").subcode(2_018_109),
    row(100, ProblemClass::TransientBounded, "fetching the attachment took Meta too long: it is tried again a few times").subcode(2_018_294),
    row(100, ProblemClass::Recipient, "Meta knows no such Instagram user for this account").subcode(2_534_014),
    row(100, ProblemClass::Recipient, "the person cannot be written to: one of the two blocked the other").subcode(2_534_029),
    row(100, ProblemClass::ThreadControl, "another app has this conversation: the assistant is silent until it comes back").subcode(2_534_037),
    row(190, ProblemClass::Auth, "the access token is invalid: connect the channel with a new one"),
    row(190, ProblemClass::Auth, "the access token ended with a change of password: connect the channel again").subcode(460),
    row(190, ProblemClass::Auth, "the access token expired: connect the channel with a new one").subcode(463),
    row(200, ProblemClass::Auth, "the access token lacks a permission, or it was taken back: check the app's permissions"),
    row(200, ProblemClass::Recipient, "the person is not available at present; their next message changes that").subcode(1_545_041),
    row(200, ProblemClass::AccountBlock, "the account's owner must turn on \"Allow access to messages\" in the Instagram app").subcode(2_534_041),
    row(368, ProblemClass::AccountBlock, "the account is blocked for a time for a breach of policy: see its status at Meta"),
    row(551, ProblemClass::Recipient, "the person is not available at present; their next message changes that").subcode(1_545_041),
    row(613, ProblemClass::ThrottleSender, "too many calls in a short time: the page's sends slow down"),
    row(613, ProblemClass::ThrottleSender, "too many calls in a short time: the page's sends slow down").subcode(1_893_016),
    row(613, ProblemClass::ThrottlePair, "too many messages to this person in a short time: the conversation waits for a while").subcode(2_018_338),
    row(613, ProblemClass::ThrottleSender, "too many calls in a short time: the account's sends slow down").subcode(2_534_040),
    row(36_000, ProblemClass::Request, "the image is too large: make it smaller"),
    row(2_018_300, ProblemClass::ThreadControl, "another app has this conversation: the assistant is silent until it comes back"),
    row(9_000_001, ProblemClass::Drop, "the message that was answered is deleted"),
];
