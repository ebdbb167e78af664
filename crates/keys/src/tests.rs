#![allow(clippy::unwrap_used)]

use super::*;
use limits::message::Priority;
use proptest::prelude::*;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const OTHER: &[u8] = b"fedcba9876543210fedcba9876543210";
const NOW: u64 = 1_795_000_000_000;

fn ring() -> Keyring {
    Keyring::new(SECRET, &[]).expect("32 bytes")
}

fn secret_key() -> Claims {
    Claims::tenant_key(Kind::Secret, "acme", "abcdefghij")
}

/// Signs bytes that no `Claims` encodes to.
fn sign_raw(kind: Kind, payload: &[u8]) -> String {
    let mac = keyed(&ring().current, kind.prefix(), payload).finalize().into_bytes();
    let bytes = [payload, &mac[..MAC_BYTES]].concat();
    format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(bytes))
}

prop_compose! {
    fn any_claims()(
        kind in 0..4_usize, tenant in "[a-zA-Z0-9._-]{1,64}", id in "[a-z2-7]{10}",
        expires_ms in proptest::option::of(NOW + 1..u64::MAX), scope_account: bool,
        priority in proptest::option::of(0..3_usize), role in 0..3_usize,
        user in "[^\\p{Cc}]{1,30}", models in proptest::collection::vec("[a-z0-9*.-]{1,40}", 0..6),
        tokens: Option<u64>, microusd: Option<u64>,
    ) -> Claims {
        let priority_highest =
            priority.map(|at| [Priority::Critical, Priority::Normal, Priority::Background][at]);
        match kind {
            0 => Claims { expires_ms, scope_account, priority_highest,
                ..Claims::tenant_key(Kind::Secret, tenant, id) },
            1 => Claims { expires_ms, priority_highest,
                ..Claims::tenant_key(Kind::Publishable, tenant, id) },
            2 => Claims { expires_ms: expires_ms.or(Some(NOW + 1)), priority_highest,
                user: Some(user), minted_by: Some(id.clone()), models, tokens, microusd,
                ..Claims::tenant_key(Kind::Visitor, tenant, id) },
            _ => Claims { expires_ms,
                ..Claims::admin([Role::Viewer, Role::Operator, Role::Owner][role], id) },
        }
    }
}

proptest! {
    #[test]
    fn a_signed_key_says_what_was_signed(claims in any_claims()) {
        let key = ring().sign(&claims).unwrap();
        prop_assert!(key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        prop_assert_eq!(ring().verify(&key, NOW), Ok(claims));
    }

    #[test]
    fn any_flipped_bit_is_refused(claims in any_claims(), at: prop::sample::Index, bit in 0..8_u8) {
        let mut key = ring().sign(&claims).unwrap().into_bytes();
        let at = at.index(key.len());
        key[at] ^= 1 << bit;
        if let Ok(text) = std::str::from_utf8(&key) {
            prop_assert!(ring().verify(text, NOW).is_err());
        }
    }

    #[test]
    fn a_key_under_another_kinds_prefix_is_forged(claims in any_claims(), other in 0..4_usize) {
        let kinds = [Kind::Secret, Kind::Publishable, Kind::Visitor, Kind::Admin];
        prop_assume!(kinds[other] != claims.kind);
        let key = ring().sign(&claims).unwrap();
        let moved = format!("{}{}", kinds[other].prefix(), &key[6..]);
        prop_assert_eq!(ring().verify(&moved, NOW), Err(KeyError::Forged));
    }

    #[test]
    fn a_cut_key_is_refused(claims in any_claims(), at: prop::sample::Index) {
        let key = ring().sign(&claims).unwrap();
        prop_assert!(ring().verify(&key[..at.index(key.len())], NOW).is_err());
    }

    #[test]
    fn any_signed_bytes_are_answered_without_a_panic(payload: Vec<u8>, kind in 0..4_usize) {
        let kind = [Kind::Secret, Kind::Publishable, Kind::Visitor, Kind::Admin][kind];
        let versioned = [&[1][..], &payload].concat();
        if let Ok(claims) = ring().verify(&sign_raw(kind, &versioned), NOW) {
            prop_assert_eq!(payload::encode(&claims), versioned, "one form of each key");
        }
    }

    #[test]
    fn any_text_is_answered_without_a_panic(text in "(tg_(sk|pk|vt|ad)_)?\\PC{0,80}") {
        prop_assert!(ring().verify(&text, NOW).is_err());
    }
}

#[test]
fn a_key_lives_until_its_last_millisecond() {
    let claims = Claims { expires_ms: Some(NOW), ..secret_key() };
    let key = ring().sign(&claims).unwrap();
    assert_eq!(ring().verify(&key, NOW - 1), Ok(claims));
    assert_eq!(ring().verify(&key, NOW), Err(KeyError::Expired { at_ms: NOW }));
}

#[test]
fn an_expired_forgery_is_a_forgery() {
    let claims = Claims { expires_ms: Some(1), ..secret_key() };
    let key = Keyring::new(OTHER, &[]).unwrap().sign(&claims).unwrap();
    assert_eq!(ring().verify(&key, NOW), Err(KeyError::Forged));
}

#[test]
fn the_secret_can_be_rotated() {
    let key = ring().sign(&secret_key()).unwrap();
    let rotated = Keyring::new(OTHER, &[SECRET]).unwrap();
    assert_eq!(rotated.verify(&key, NOW), Ok(secret_key()));
    let new = rotated.sign(&secret_key()).unwrap();
    assert_eq!(ring().verify(&new, NOW), Err(KeyError::Forged), "the new secret signs");
    let done = Keyring::new(OTHER, &[]).unwrap();
    assert_eq!(done.verify(&key, NOW), Err(KeyError::Forged));
}

#[test]
fn a_short_secret_is_refused_current_or_previous() {
    assert_eq!(Keyring::new(&SECRET[1..], &[]).unwrap_err(), WeakSecret { bytes: 31 });
    assert_eq!(Keyring::new(SECRET, &[b"short"]).unwrap_err(), WeakSecret { bytes: 5 });
}

#[test]
fn debug_prints_no_secret() {
    assert_eq!(format!("{:?}", ring()), "Keyring { secrets: 1 }");
}

#[test]
fn claims_that_are_not_their_kinds_are_refused() {
    let secret = secret_key;
    let admin = || Claims::admin(Role::Owner, "abcdefghij");
    let visitor = || Claims {
        user: Some("u1".into()),
        minted_by: Some("abcdefghij".into()),
        expires_ms: Some(NOW + 1),
        ..Claims::tenant_key(Kind::Visitor, "acme", "abcdefghij")
    };
    assert!(ring().sign(&visitor()).is_ok());
    let table = [
        (Claims { tenant: None, ..secret() }, "tenant"),
        (Claims { tenant: Some("a b".into()), ..secret() }, "tenant"),
        (Claims { tenant: Some("a".repeat(65)), ..secret() }, "tenant"),
        (Claims { tenant: Some("acme".into()), ..admin() }, "tenant"),
        (Claims { role: Some(Role::Owner), ..secret() }, "role"),
        (Claims { role: None, ..admin() }, "role"),
        (Claims { id: String::new(), ..secret() }, "id"),
        (Claims { scope_account: true, ..visitor() }, "scope"),
        (
            Claims {
                scope_account: true,
                ..Claims::tenant_key(Kind::Publishable, "acme", "abcdefghij")
            },
            "scope",
        ),
        (Claims { priority_highest: Some(Priority::Normal), ..admin() }, "priority"),
        (Claims { user: Some("u1".into()), ..secret() }, "user"),
        (Claims { user: None, ..visitor() }, "user"),
        (Claims { user: Some("a\nb".into()), ..visitor() }, "user"),
        (Claims { minted_by: None, ..visitor() }, "minted_by"),
        (Claims { expires_ms: None, ..visitor() }, "expires_ms"),
        (Claims { models: vec!["m".into()], ..secret() }, "models"),
        (Claims { models: vec!["m".into(); 17], ..visitor() }, "models"),
        (Claims { tokens: Some(1), ..secret() }, "tokens"),
        (Claims { microusd: Some(1), ..admin() }, "microusd"),
    ];
    for (claims, claim) in table {
        let kind = claims.kind;
        let refused = Err(ClaimsError::NotAllowed { claim, kind });
        assert_eq!(ring().sign(&claims), refused, "{claims:?}");
        let signed = sign_raw(kind, &payload::encode(&claims));
        assert_eq!(ring().verify(&signed, NOW), Err(KeyError::Malformed), "{claims:?}");
    }
    let long = Claims { models: vec!["m".repeat(100); 16], ..visitor() };
    assert_eq!(ring().sign(&long), Err(ClaimsError::TooLong));
}

#[test]
fn what_a_newer_version_says_is_not_half_understood() {
    let mut payload = payload::encode(&secret_key());
    payload.extend_from_slice(&[99, 0]);
    assert_eq!(ring().verify(&sign_raw(Kind::Secret, &payload), NOW), Err(KeyError::WrongVersion));
    payload[0] = 2;
    assert_eq!(ring().verify(&sign_raw(Kind::Secret, &payload), NOW), Err(KeyError::WrongVersion));
}

#[test]
fn the_format_does_not_change_by_accident() {
    // Expected value computed apart, by Python's hmac and base64 modules.
    let key = ring().sign(&secret_key()).unwrap();
    assert_eq!(key, "tg_sk_AQEEYWNtZQIKYWJjZGVmZ2hpalqrpNQxYb-ObbwCEgMMN7M");
    assert!(key.len() < 80);
}

#[test]
fn an_id_has_ten_characters_and_fifty_bits() {
    assert_eq!(key_id([0; 7]), "aaaaaaaaaa");
    assert_eq!(key_id([255; 7]), "7777777777");
    assert_eq!(key_id([0xfc, 0, 0, 0, 0, 0, 1]), key_id([0, 0, 0, 0, 0, 0, 1]), "50 of 56 bits");
    assert_ne!(key_id([0, 0, 0, 0, 0, 0, 1]), key_id([0, 0, 0, 0, 0, 0, 2]));
}
