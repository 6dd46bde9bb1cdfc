//! Meta's error codes as the products answer them: code, subcode, HTTP status and title.
//!
//! Meta: Cloud API, error codes; Messenger Platform, error codes.

/// One row of the matrix.
pub(crate) struct Known {
    pub code: u32,
    /// 0: none.
    pub subcode: u32,
    pub status: u16,
    pub title: &'static str,
}

const fn row(code: u32, subcode: u32, status: u16, title: &'static str) -> Known {
    Known { code, subcode, status, title }
}

/// What is known of a code of WhatsApp (`whatsapp`) or of Messenger and Instagram. An unknown subcode falls back to
/// the code alone.
pub(crate) fn known(whatsapp: bool, code: u32, subcode: Option<u32>) -> Option<&'static Known> {
    let rows: &[Known] = if whatsapp { &WHATSAPP } else { &SOCIAL };
    let wanted = subcode.unwrap_or(0);
    rows.iter()
        .find(|row| row.code == code && row.subcode == wanted)
        .or_else(|| rows.iter().find(|row| row.code == code && row.subcode == 0))
}

/// Every row, as (WhatsApp?, code, subcode or 0, HTTP status).
#[cfg(test)]
pub(crate) fn all() -> Vec<(bool, u32, u32, u16)> {
    let rows = |whatsapp, rows: &[Known]| -> Vec<_> {
        rows.iter().map(|row| (whatsapp, row.code, row.subcode, row.status)).collect()
    };
    let mut all = rows(true, &WHATSAPP);
    all.extend(rows(false, &SOCIAL));
    all
}

const WHATSAPP: [Known; 60] = [
    row(0, 0, 401, "AuthException"),
    row(1, 0, 400, "API Unknown"),
    row(2, 0, 503, "API Service"),
    row(3, 0, 500, "API Method (capability)"),
    row(4, 0, 400, "API Too Many Calls"),
    row(10, 0, 403, "Permission Denied"),
    row(33, 0, 400, "Parameter value is not valid"),
    row(100, 0, 400, "Invalid parameter"),
    row(100, 33, 400, "Unsupported get/post request"),
    row(190, 0, 401, "Access token has expired"),
    row(200, 0, 403, "API Permission"),
    row(368, 0, 403, "Temporarily blocked for policies violations"),
    row(613, 0, 429, "Calls exceeded the rate limit"),
    row(80007, 0, 400, "Rate limit issues (WABA)"),
    row(130_429, 0, 400, "Rate limit hit"),
    row(130_472, 0, 400, "User's number is part of an experiment"),
    row(130_497, 0, 403, "Business restricted from messaging this country"),
    row(131_000, 0, 500, "Something went wrong"),
    row(131_005, 0, 403, "Access denied"),
    row(131_008, 0, 400, "Required parameter is missing"),
    row(131_009, 0, 400, "Parameter value is not valid"),
    row(131_016, 0, 500, "Service unavailable"),
    row(131_021, 0, 400, "Recipient cannot be sender"),
    row(131_026, 0, 400, "Message undeliverable"),
    row(131_031, 0, 403, "Account has been locked"),
    row(131_037, 0, 400, "Display name approval needed"),
    row(131_042, 0, 400, "Business eligibility payment issue"),
    row(131_045, 0, 500, "Incorrect certificate"),
    row(131_047, 0, 400, "Re-engagement message"),
    row(131_048, 0, 400, "Spam rate limit hit"),
    row(131_049, 0, 400, "Meta chose not to deliver"),
    row(131_050, 0, 400, "User stopped marketing"),
    row(131_051, 0, 400, "Unsupported message type"),
    row(131_052, 0, 400, "Media download error"),
    row(131_053, 0, 400, "Media upload error"),
    row(131_055, 0, 400, "Method not allowed"),
    row(131_056, 0, 400, "(Business Account, Consumer Account) pair rate limit hit"),
    row(131_057, 0, 500, "Account in maintenance mode"),
    row(131_064, 0, 400, "Template classification limit"),
    row(132_000, 0, 400, "Template Param Count Mismatch"),
    row(132_001, 0, 404, "Template does not exist"),
    row(132_005, 0, 400, "Template hydrated text too long"),
    row(132_007, 0, 400, "Template format character policy violated"),
    row(132_012, 0, 400, "Template parameter format mismatch"),
    row(132_015, 0, 400, "Template is paused"),
    row(132_016, 0, 400, "Template is disabled"),
    row(132_068, 0, 400, "Flow is blocked"),
    row(132_069, 0, 400, "Flow is throttled"),
    row(133_000, 0, 500, "Incomplete deregistration"),
    row(133_004, 0, 503, "Server temporarily unavailable"),
    row(133_005, 0, 400, "Two-step PIN mismatch"),
    row(133_006, 0, 400, "Phone number re-verification needed"),
    row(133_008, 0, 400, "Too many PIN guesses"),
    row(133_009, 0, 400, "PIN guessed too fast"),
    row(133_010, 0, 400, "Phone number not registered"),
    row(133_015, 0, 400, "Recently deleted number"),
    row(133_016, 0, 400, "Register/deregister rate limit"),
    row(134_011, 0, 400, "Payments ToS not accepted"),
    row(135_000, 0, 400, "Generic user error"),
    row(134_101, 0, 400, "Template still syncing"),
];

const SOCIAL: [Known; 39] = [
    row(1, 0, 500, "Unknown / may be transient"),
    row(2, 0, 500, "Service temporarily unavailable"),
    row(4, 0, 400, "Application request limit reached"),
    row(9, 2_018_352, 400, "Page/app send limit"),
    row(10, 0, 403, "Permission denied"),
    row(10, 2_018_278, 400, "Outside allowed window (Messenger)"),
    row(10, 2_018_065, 400, "Outside allowed window (page subscription)"),
    row(10, 2_534_022, 400, "Outside allowed window (Instagram)"),
    row(10, 2_018_108, 400, "Person cannot receive messages"),
    row(10, 1_893_063, 400, "Restricted"),
    row(10, 2_534_077, 400, "Link not allowed"),
    row(32, 0, 400, "Page request limit reached"),
    row(17, 0, 400, "User request limit reached"),
    row(80006, 0, 400, "Messenger BUC rate limit"),
    row(100, 0, 400, "Invalid parameter"),
    row(100, 2_018_001, 400, "No matching user found"),
    row(100, 2_018_008, 400, "Failed to fetch file from url"),
    row(100, 2_018_109, 400, "Attachment size exceeds limit"),
    row(100, 2_018_294, 400, "Attachment fetch timed out"),
    row(100, 2_018_014, 400, "message and sender_action together"),
    row(100, 2_534_014, 400, "IG user not found"),
    row(100, 2_534_029, 400, "Person blocked"),
    row(100, 2_534_037, 400, "Not thread owner"),
    row(190, 0, 401, "Invalid OAuth access token"),
    row(190, 460, 401, "Password changed"),
    row(190, 463, 401, "Token expired"),
    row(200, 0, 403, "Permission error"),
    row(200, 1_545_041, 400, "Person unavailable"),
    row(551, 1_545_041, 400, "Person is not available right now"),
    row(200, 2_534_041, 400, "Owner disabled access to messages"),
    row(368, 0, 403, "Temporarily blocked"),
    row(613, 0, 400, "Rate limit exceeded"),
    row(613, 1_893_016, 400, "Rate limit"),
    row(613, 2_018_338, 400, "Rate limit (thread)"),
    row(613, 2_534_040, 400, "Rate limit (IG)"),
    row(2_018_300, 0, 400, "Another app controls thread"),
    row(9_000_001, 0, 400, "Message deleted"),
    row(36000, 0, 200, "Image too large"),
    row(100, 2_018_047, 400, "Attachment type mismatch"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_the_matrix_of_the_fixtures() {
        let tsv = include_str!("../../tests/fixtures/graph_errors/ERROR_MATRIX.tsv");
        let matrix = tsv.lines().skip(1).map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            let number = |text: &str| text.parse::<u32>().unwrap_or(0);
            let status = u16::try_from(number(cells[3])).unwrap();
            (cells[0] == "whatsapp", number(cells[1]), number(cells[2]), status)
        });
        assert_eq!(all(), matrix.collect::<Vec<_>>());
    }

    #[test]
    fn an_unknown_subcode_falls_back_to_its_code() {
        assert_eq!(known(false, 10, Some(2_018_278)).map(|row| row.subcode), Some(2_018_278));
        assert_eq!(known(false, 10, Some(5)).map(|row| (row.subcode, row.status)), Some((0, 403)));
        assert!(known(true, 424_242, None).is_none());
    }
}
