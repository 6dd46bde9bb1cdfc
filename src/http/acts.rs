//! The acts that handlers name in their signatures, as types: `Allowed<acts::ReadContent>`. Who has which is
//! in one table, [`iassistance_domain::permission`].

use iassistance_domain::permission::Act;

/// An act that a handler asks for in its signature.
pub trait Right: 'static {
    /// Which.
    const ACT: Act;
    /// Whether somebody has it who must add a second factor first: so that they can.
    const ENROLS: bool = false;
}

macro_rules! acts {
    ($($act:ident),+ $(,)?) => {$(
        /// The act of this name in the table.
        #[derive(Debug, Clone, Copy)]
        pub struct $act;
        impl Right for $act {
            const ACT: Act = Act::$act;
        }
    )+};
}

acts! {
    OwnAccount, ListTenants, CreateTenant, ChangeTenant, SuspendTenant, SeeSetUp, ReadContent, WatchLive,
    ExportContent, Send, SeeDeadLetters, ReplayDeadLetter, ReadKnowledge, EditAssistant, SeeSpending,
    ConnectChannel, ManageHooks, SeePeople, ManagePeople, ManageKeys, GrantAgencyReading, ExportSubject,
    EraseSubject, SeeRights, ServeRights, SeeErasures, LegalHold, ReadAudit, ReadAccessLog, AskBreakGlass, SeeBreakGlass, EndBreakGlass,
    ManageAgencies, SeeAgency, ManageAgencyPeople, ManageOwners, SeeMetaApps, ManageMetaApps,
    ManagePlatformKeys, OperatePlatform, ReadPlatformLogs, RotateKeys, SeeDataMap,
    AnswerOrders,
}

/// One's own account, as far as that is needed to add a second factor: to see who one is, to add a factor,
/// to sign out.
#[derive(Debug, Clone, Copy)]
pub struct Enrol;

impl Right for Enrol {
    const ACT: Act = Act::OwnAccount;
    const ENROLS: bool = true;
}
