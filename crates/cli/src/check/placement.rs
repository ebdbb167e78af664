//! Whether a Worker's region and its Gate's location hint are near each other.

use settings::LocationHint::{self, Afr, Apac, Eeur, Enam, Me, Oc, Sam, Weur, Wnam};

const EUROPE: &[LocationHint] = &[Weur, Eeur];

/// The hints near a cloud's regions, by how their names begin; the longest
/// beginning counts. Regions as Amazon, Google and Microsoft list them,
/// hints as Cloudflare's data location page does (both 2026-11).
const NEAR: &[(&str, &[LocationHint])] = &[
    ("aws:us-east-", &[Enam]),
    ("aws:us-west-", &[Wnam]),
    ("aws:ca-central-", &[Enam]),
    ("aws:ca-west-", &[Wnam]),
    ("aws:mx-", &[Enam, Wnam]),
    ("aws:sa-", &[Sam]),
    ("aws:eu-", EUROPE),
    ("aws:ap-", &[Apac]),
    ("aws:ap-southeast-2", &[Oc]),
    ("aws:ap-southeast-4", &[Oc]),
    ("aws:ap-southeast-6", &[Oc]),
    ("aws:af-", &[Afr]),
    ("aws:me-", &[Me]),
    ("aws:il-", &[Me]),
    ("gcp:us-east", &[Enam]),
    ("gcp:us-central", &[Enam, Wnam]),
    ("gcp:us-south", &[Enam, Wnam]),
    ("gcp:us-west", &[Wnam]),
    ("gcp:northamerica-northeast", &[Enam]),
    ("gcp:northamerica-south", &[Enam, Wnam]),
    ("gcp:southamerica-", &[Sam]),
    ("gcp:europe-", EUROPE),
    ("gcp:asia-", &[Apac]),
    ("gcp:australia-", &[Oc]),
    ("gcp:me-", &[Me]),
    ("gcp:africa-", &[Afr]),
    ("azure:eastus", &[Enam]),
    ("azure:canada", &[Enam]),
    ("azure:centralus", &[Enam, Wnam]),
    ("azure:northcentralus", &[Enam]),
    ("azure:southcentralus", &[Enam, Wnam]),
    ("azure:westus", &[Wnam]),
    ("azure:westcentralus", &[Wnam]),
    ("azure:brazil", &[Sam]),
    ("azure:westeurope", EUROPE),
    ("azure:northeurope", EUROPE),
    ("azure:uk", EUROPE),
    ("azure:france", EUROPE),
    ("azure:germany", EUROPE),
    ("azure:sweden", EUROPE),
    ("azure:australia", &[Oc]),
    ("azure:eastasia", &[Apac]),
    ("azure:southeastasia", &[Apac]),
    ("azure:japan", &[Apac]),
    ("azure:southafrica", &[Afr]),
    ("azure:uae", &[Me]),
];

/// The hints near a region; empty where it is not known.
pub(super) fn hints(region: &str) -> &'static [LocationHint] {
    let near = NEAR.iter().filter(|(start, _)| region.starts_with(start));
    near.max_by_key(|(start, _)| start.len()).map_or(&[], |(_, hints)| hints)
}

/// True where region and hint are known to lie apart.
pub(super) fn apart(region: &str, hint: LocationHint) -> bool {
    let near = hints(region);
    !near.is_empty() && !near.contains(&hint)
}
