//! Who may do what: one table, and nothing beside it. What has no line here is not allowed.
//!
//! A handler names its [`Act`]; [`grant`] says what the table gives to whoever asks. What a grant depends
//! on (whose tenant it is, what was granted, a proof anew) is looked at where that is known.

use crate::key::Scope;

/// What somebody may do or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Act {
    /// See, export and correct one's own account; its sessions, factors and requests.
    OwnAccount,
    /// See which tenants there are.
    ListTenants,
    /// Create a tenant.
    CreateTenant,
    /// Change a tenant's name.
    ChangeTenant,
    /// Suspend a tenant, resume it, close it.
    SuspendTenant,
    /// See a tenant's set-up: its name and state, its channels, its assistant's settings; no content, no
    /// secret.
    SeeSetUp,
    /// Read what people write: conversations, messages, files, turns, events.
    ReadContent,
    /// Watch it live.
    WatchLive,
    /// Take it along in bulk.
    ExportContent,
    /// Take over, hand back, reply, write notes, assign, upload files.
    Send,
    /// See what was given up.
    SeeDeadLetters,
    /// Have it tried again.
    ReplayDeadLetter,
    /// See documents and golden questions.
    ReadKnowledge,
    /// Change the assistant, its tools and documents, retention; rehearse it.
    EditAssistant,
    /// See what was spent.
    SeeSpending,
    /// Connect, change, test and take off channels.
    ConnectChannel,
    /// Read a channel's token. Nobody may.
    SeeChannelToken,
    /// Subscribe to events; see and replay deliveries.
    ManageHooks,
    /// See a tenant's people.
    SeePeople,
    /// Invite them, change their roles, let them go.
    ManagePeople,
    /// Make, rotate, see and revoke a tenant's API keys. Nobody puts a scope on a key that opens an act which
    /// they do not have themselves.
    ManageKeys,
    /// Let the agency read what people write, or no longer.
    GrantAgencyReading,
    /// Export what is stored about a person.
    ExportSubject,
    /// Erase it.
    EraseSubject,
    /// See what people asked about their own data, and when that is due.
    SeeRights,
    /// Take it up, have who asks proven, correct, refuse, answer.
    ServeRights,
    /// See which erasures there are, and their receipts: ids, and nothing of the people.
    SeeErasures,
    /// Keep something from being erased, for a court.
    LegalHold,
    /// Read a tenant's audit log.
    ReadAudit,
    /// Read the access log of a tenant.
    ReadAccessLog,
    /// Ask to look into a tenant's content, consent to another's request.
    AskBreakGlass,
    /// See such requests.
    SeeBreakGlass,
    /// End one.
    EndBreakGlass,
    /// Create agencies and change them.
    ManageAgencies,
    /// See an agency.
    SeeAgency,
    /// Invite an agency's people, let them go.
    ManageAgencyPeople,
    /// Make owners of the platform and disable accounts.
    ManageOwners,
    /// See which Meta apps there are.
    SeeMetaApps,
    /// Create and change Meta apps.
    ManageMetaApps,
    /// Make, see and revoke the platform's own API keys.
    ManagePlatformKeys,
    /// Backups, restores, checks, quarantine, figures.
    OperatePlatform,
    /// Read the platform's own audit log, and the whole access log.
    ReadPlatformLogs,
    /// Rotate encryption keys, handle incidents.
    RotateKeys,
    /// See what every stored field is, and what is told of how the platform treats data.
    SeeDataMap,
    /// Enter orders of authorities about a tenant's data, approve another's, answer them within their scope.
    AnswerOrders,
}

impl Act {
    /// Whether a person must have proved anew who they are, shortly before.
    pub const fn needs_step_up(self) -> bool {
        matches!(
            self,
            Self::ExportContent
                | Self::ExportSubject
                | Self::EraseSubject
                | Self::ServeRights
                | Self::ManagePeople
                | Self::ManageAgencyPeople
                | Self::ManageOwners
                | Self::ManageKeys
                | Self::ManagePlatformKeys
                | Self::GrantAgencyReading
                | Self::AskBreakGlass
                | Self::RotateKeys
                | Self::AnswerOrders
        )
    }

    /// Whether it is the platform's own and about no tenant.
    pub const fn is_of_platform(self) -> bool {
        matches!(
            self,
            Self::OwnAccount
                | Self::ListTenants
                | Self::CreateTenant
                | Self::ManageAgencies
                | Self::SeeAgency
                | Self::ManageAgencyPeople
                | Self::ManageOwners
                | Self::SeeMetaApps
                | Self::ManageMetaApps
                | Self::ManagePlatformKeys
                | Self::OperatePlatform
                | Self::ReadPlatformLogs
                | Self::RotateKeys
                | Self::SeeDataMap
        )
    }
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Who {
    /// An owner of the platform.
    Owner,
    /// One of an agency's people.
    Agency,
    /// Who administers a tenant.
    TenantAdmin,
    /// An operator of a tenant.
    Operator,
    /// A viewer of a tenant.
    Viewer,
    /// A program with a key.
    Key,
}

impl Who {
    /// All there are, in the order of the table.
    pub const ALL: [Self; 6] =
        [Self::Owner, Self::Agency, Self::TenantAdmin, Self::Operator, Self::Viewer, Self::Key];
}

/// What the table gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// They may not.
    No,
    /// They may; people of a tenant in that tenant.
    Yes,
    /// In what is theirs alone. An agency: itself and its tenants. An operator: conversations that are
    /// assigned to them, if they are so limited. People of a tenant who list tenants: those they belong to.
    /// An owner, on a tenant's people: those of tenants without an agency, and only until such a tenant has
    /// an administrator.
    Own,
    /// As [`Self::Own`], and only if the tenant's administrators granted it.
    IfGranted,
    /// With an open break-glass grant alone.
    BreakGlass,
    /// They may, having proved anew who they are.
    StepUp,
    /// They may, and see contacts' names, addresses and what people wrote made unrecognisable; conversations
    /// that are assigned to them, if they are so limited.
    Masked,
    /// They may see that something was, not what was said about it.
    Metadata,
    /// A key with one of these scopes. A tenant's key in its tenant alone; a key of the platform only where
    /// `platform` is among them.
    Scope(&'static [Scope]),
}

impl Grant {
    /// Whether it is a flat no.
    pub const fn is_no(self) -> bool {
        matches!(self, Self::No)
    }
}

/// A line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Grants {
    /// The platform's owner.
    pub owner: Grant,
    /// An agency's people.
    pub agency: Grant,
    /// A tenant's administrators.
    pub tenant_admin: Grant,
    /// Operators.
    pub operator: Grant,
    /// Viewers.
    pub viewer: Grant,
    /// Programs.
    pub key: Grant,
}

impl Grants {
    /// What it gives to `who`.
    pub const fn to(&self, who: Who) -> Grant {
        match who {
            Who::Owner => self.owner,
            Who::Agency => self.agency,
            Who::TenantAdmin => self.tenant_admin,
            Who::Operator => self.operator,
            Who::Viewer => self.viewer,
            Who::Key => self.key,
        }
    }
}

const fn line(act: Act, grants: [Grant; 6]) -> (Act, Grants) {
    let [owner, agency, tenant_admin, operator, viewer, key] = grants;
    (act, Grants { owner, agency, tenant_admin, operator, viewer, key })
}

const READ: Grant = Grant::Scope(&[Scope::Read]);
const OPERATE: Grant = Grant::Scope(&[Scope::Operate]);
const MANAGE: Grant = Grant::Scope(&[Scope::Manage]);
const TENANTS: Grant = Grant::Scope(&[Scope::Read, Scope::Operate, Scope::Manage]);
const ANY: Grant = Grant::Scope(&[Scope::Read, Scope::Operate, Scope::Manage, Scope::Platform]);
const EVERY: Grant = Grant::Scope(&Scope::ALL);
const DSAR: Grant = Grant::Scope(&[Scope::Dsar]);
const AUDIT: Grant = Grant::Scope(&[Scope::Audit]);
const PLATFORM: Grant = Grant::Scope(&[Scope::Platform]);

use Grant::{BreakGlass, IfGranted, Masked, Metadata, No, Own, StepUp, Yes};

/// The table.
#[rustfmt::skip]
pub const MATRIX: [(Act, Grants); 45] = [
    //                             owner       agency     admin   operator viewer  key
    line(Act::OwnAccount,         [Yes,        Yes,       Yes,    Yes,     Yes,    No]),
    line(Act::ListTenants,        [Yes,        Own,       Own,    Own,     Own,    PLATFORM]),
    line(Act::CreateTenant,       [Yes,        Own,       No,     No,      No,     No]),
    line(Act::ChangeTenant,       [Yes,        Own,       Yes,    No,      No,     No]),
    line(Act::SuspendTenant,      [Yes,        Own,       No,     No,      No,     No]),
    line(Act::SeeSetUp,           [Yes,        Own,       Yes,    Yes,     Yes,    ANY]),
    line(Act::ReadContent,        [BreakGlass, IfGranted, Yes,    Own,     Masked, READ]),
    line(Act::WatchLive,          [BreakGlass, IfGranted, Yes,    Own,     Masked, READ]),
    line(Act::ExportContent,      [No,         No,        StepUp, No,      No,     READ]),
    line(Act::Send,               [No,         No,        Yes,    Own,     No,     OPERATE]),
    line(Act::SeeDeadLetters,     [Metadata,   Own,       Yes,    Own,     Masked, READ]),
    line(Act::ReplayDeadLetter,   [No,         No,        Yes,    Own,     No,     OPERATE]),
    line(Act::ReadKnowledge,      [No,         Own,       Yes,    Yes,     Yes,    TENANTS]),
    line(Act::EditAssistant,      [No,         Own,       Yes,    No,      No,     MANAGE]),
    line(Act::SeeSpending,        [Yes,        Own,       Yes,    No,      No,     TENANTS]),
    line(Act::ConnectChannel,     [No,         Own,       Yes,    No,      No,     No]),
    line(Act::SeeChannelToken,    [No,         No,        No,     No,      No,     No]),
    line(Act::ManageHooks,        [No,         IfGranted, Yes,    No,      No,     MANAGE]),
    line(Act::SeePeople,          [Own,        Own,       Yes,    No,      No,     No]),
    line(Act::ManagePeople,       [Own,        Own,       Yes,    No,      No,     No]),
    line(Act::ManageKeys,         [No,         Own,       Yes,    No,      No,     No]),
    line(Act::GrantAgencyReading, [No,         No,        StepUp, No,      No,     No]),
    line(Act::ExportSubject,      [BreakGlass, No,        StepUp, No,      No,     DSAR]),
    line(Act::EraseSubject,       [BreakGlass, No,        StepUp, No,      No,     DSAR]),
    line(Act::SeeRights,          [Metadata,   No,        Yes,    No,      No,     DSAR]),
    line(Act::ServeRights,        [BreakGlass, No,        StepUp, No,      No,     DSAR]),
    line(Act::SeeErasures,        [Yes,        No,        Yes,    No,      No,     DSAR]),
    line(Act::LegalHold,          [Yes,        No,        Yes,    No,      No,     No]),
    line(Act::ReadAudit,          [Metadata,   Own,       Yes,    No,      No,     AUDIT]),
    line(Act::ReadAccessLog,      [Metadata,   Own,       Yes,    No,      No,     AUDIT]),
    line(Act::AskBreakGlass,      [Yes,        No,        No,     No,      No,     No]),
    line(Act::SeeBreakGlass,      [Yes,        No,        Yes,    No,      No,     AUDIT]),
    line(Act::EndBreakGlass,      [Yes,        No,        Yes,    No,      No,     No]),
    line(Act::ManageAgencies,     [Yes,        No,        No,     No,      No,     No]),
    line(Act::SeeAgency,          [Yes,        Own,       No,     No,      No,     No]),
    line(Act::ManageAgencyPeople, [Yes,        Own,       No,     No,      No,     No]),
    line(Act::ManageOwners,       [Yes,        No,        No,     No,      No,     No]),
    line(Act::SeeMetaApps,        [Yes,        Yes,       Yes,    No,      No,     PLATFORM]),
    line(Act::ManageMetaApps,     [Yes,        No,        No,     No,      No,     PLATFORM]),
    line(Act::ManagePlatformKeys, [Yes,        No,        No,     No,      No,     No]),
    line(Act::OperatePlatform,    [Yes,        No,        No,     No,      No,     PLATFORM]),
    line(Act::ReadPlatformLogs,   [Yes,        No,        No,     No,      No,     No]),
    line(Act::RotateKeys,         [Yes,        No,        No,     No,      No,     No]),
    line(Act::SeeDataMap,         [Yes,        Yes,       Yes,    Yes,     Yes,    EVERY]),
    line(Act::AnswerOrders,       [Yes,        No,        No,     No,      No,     No]),
];

/// What the table gives to `who` for `act`: nothing where it says nothing.
pub fn grant(act: Act, who: Who) -> Grant {
    MATRIX.iter().find(|(of, _)| *of == act).map_or(Grant::No, |(_, grants)| grants.to(who))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_act_has_one_line() {
        let acts: BTreeSet<_> = MATRIX.iter().map(|(act, _)| *act).collect();
        assert_eq!(acts.len(), MATRIX.len());
        assert_eq!(MATRIX[MATRIX.len() - 1].0 as usize, MATRIX.len() - 1, "the lines are in the acts' order");
        assert!(MATRIX.iter().enumerate().all(|(place, (act, _))| *act as usize == place));
    }

    #[test]
    fn nobody_reads_a_token_and_no_owner_reads_content_by_that_alone() {
        assert!(Who::ALL.iter().all(|who| grant(Act::SeeChannelToken, *who).is_no()));
        for act in [Act::ReadContent, Act::WatchLive, Act::ExportSubject, Act::EraseSubject] {
            assert_eq!(grant(act, Who::Owner), Grant::BreakGlass);
        }
        for act in [Act::Send, Act::ManageHooks, Act::ManageKeys, Act::ExportContent] {
            assert!(grant(act, Who::Owner).is_no(), "{act:?} would be a way around break-glass");
        }
    }

    #[test]
    fn only_people_have_step_up_and_only_keys_have_scopes() {
        for (act, grants) in MATRIX {
            for who in Who::ALL {
                let grant = grants.to(who);
                assert!(!matches!(grant, Grant::Scope(_)) || who == Who::Key, "{act:?} {who:?}");
                assert!(who != Who::Key || matches!(grant, Grant::Scope(_) | Grant::No), "{act:?}");
                assert!(grant != Grant::StepUp || act.needs_step_up(), "{act:?} needs a proof anew");
                assert!(!matches!(grant, Grant::BreakGlass) || who == Who::Owner, "{act:?} {who:?}");
            }
        }
    }

    #[test]
    fn a_scope_opens_the_act_that_it_stands_for() {
        for scope in Scope::ALL {
            let Grant::Scope(scopes) = grant(scope.act(), Who::Key) else { panic!("{scope:?}") };
            assert!(scopes.contains(&scope), "{scope:?}");
        }
    }

    #[test]
    fn no_key_of_the_platform_reaches_content() {
        for act in [Act::ReadContent, Act::WatchLive, Act::ExportContent, Act::Send, Act::ManageHooks] {
            let Grant::Scope(scopes) = grant(act, Who::Key) else { panic!("{act:?}") };
            assert!(!scopes.contains(&Scope::Platform), "{act:?}");
        }
    }
}
