//! Files sealed in parts.

use super::*;
use crate::{ContentKey, PART_OVERHEAD_BYTES, Part, PartKind};
use iassistance_domain::id::MediaId;

const FRAME: Part<'static> = Part {
    media: MediaId::from_bytes([1; 16]),
    write: [2; 16],
    kind: PartKind::Frame { index: 7, last: false },
};

#[test]
fn a_part_opens_as_itself_and_as_nothing_else() {
    let room = Room::new();
    let keyring = room.open();
    let vault = keyring.create_tenant(room.tenant()).unwrap();
    let (subject, wrapped) = vault.new_subject_key(room.contact()).unwrap();
    let key = vault.content_key(&subject).unwrap();
    let sealed = key.seal(FRAME, b"bytes of a file").unwrap();
    assert_eq!(sealed.len(), 15 + PART_OVERHEAD_BYTES);
    assert!(key.open(FRAME, &sealed).unwrap().as_slice() == b"bytes of a file");
    let header = |readable| PartKind::Header(readable);
    let frame = |index, last| PartKind::Frame { index, last };
    for other in [
        Part { media: MediaId::from_bytes([9; 16]), ..FRAME },
        Part { write: [9; 16], ..FRAME },
        Part { kind: frame(8, false), ..FRAME },
        Part { kind: frame(7, true), ..FRAME },
        Part { kind: header(&7_u64.to_be_bytes()), ..FRAME },
    ] {
        assert!(key.open(other, &sealed).is_err());
    }
    for place in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[place] ^= 1;
        assert!(key.open(FRAME, &altered).is_err(), "byte {place}");
    }
    assert!(key.open(FRAME, &sealed[..sealed.len() - 1]).is_err());
    let again = vault.content_key(&vault.unwrap_subject_key(subject.contact(), &wrapped).unwrap()).unwrap();
    assert_eq!(again.mark(), key.mark());
    assert!(again.open(FRAME, &sealed).is_ok());
}

#[test]
fn another_contact_and_another_tenant_have_other_keys() {
    let room = Room::new();
    let keyring = room.open();
    let (one, two) = (room.tenant(), room.tenant());
    let vault = keyring.create_tenant(one).unwrap();
    let other = keyring.create_tenant(two).unwrap();
    let (subject, _) = vault.new_subject_key(room.contact()).unwrap();
    let (neighbour, _) = vault.new_subject_key(room.contact()).unwrap();
    let key = vault.content_key(&subject).unwrap();
    let sealed = key.seal(FRAME, b"bytes").unwrap();
    let neighbour = vault.content_key(&neighbour).unwrap();
    assert!(neighbour.open(FRAME, &sealed).is_err());
    assert_ne!(neighbour.mark(), key.mark());
    assert!(matches!(other.content_key(&subject), Err(VaultError::WrongKey { .. })));
    assert!(matches!(keyring.platform().content_key(&subject), Err(VaultError::WrongKey { .. })));
    assert!(ContentKey::fleeting(one, Arc::clone(&room.entropy) as _).open(FRAME, &sealed).is_err());
    keyring.destroy_tenant(one).unwrap();
    assert!(matches!(vault.content_key(&subject), Err(VaultError::NoSuchTenant(_))));
}
