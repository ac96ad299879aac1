use std::fmt::Display;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Refuses what no state could accept, and names the field.
pub fn invalid(field: impl Display, why: impl Display) -> Status {
    let details = ErrorDetails::with_bad_request_violation(field.to_string(), why.to_string());
    Status::with_error_details(Code::InvalidArgument, format!("{field}: {why}"), details)
}
