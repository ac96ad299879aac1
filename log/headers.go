package log

// Headers of command, event and dead-letter records. Those that begin with
// "ce_" and "content-type" are the CloudEvents Kafka protocol binding's, binary
// mode; "traceparent" is W3C Trace Context's.
const (
	// HeaderKind tells a recorded EventBook ([KindEventBook]) and an erasure
	// ([KindErasure]) from a CommandBook, which is what a commands topic holds
	// without this header.
	HeaderKind = "angzarr-kind"
	// HeaderCommandID carries the command's id: on an event the command that
	// led to it, on a forwarded command the id it had where it was read first.
	HeaderCommandID = "angzarr-command-id"
	// HeaderCorrelationID is left out where it equals the command id.
	HeaderCorrelationID = "angzarr-correlation-id"
	// HeaderSource is topic/partition/offset of the command, where there is one.
	HeaderSource = "angzarr-source"
	// HeaderHops counts the sagas that led here.
	HeaderHops = "angzarr-hops"
	// HeaderTypeURL is the type URL's prefix, where it isn't the usual one.
	HeaderTypeURL = "angzarr-type-url-prefix"
	// HeaderSynchronous is set on pages that were asked to be synchronous.
	HeaderSynchronous = "angzarr-synchronous"
	// HeaderReplyTo is the partition of the replies topic that the front door
	// reads which sent the command.
	HeaderReplyTo = "angzarr-reply-to"
	// HeaderReplyTag tells that front door to which of its copies of a command
	// the reply is; the reply carries it back as it was.
	HeaderReplyTag = "angzarr-reply-tag"
	// HeaderAnswerTo says who waits for what a command leads to, on commands and
	// on the pages of such commands: an [AnswerTo].
	HeaderAnswerTo = "angzarr-answer-to"
	// HeaderDeadline is when that front door's caller stops waiting: RFC 3339.
	HeaderDeadline = "angzarr-deadline"
	// HeaderProjectorVersion is on projections: which version of their projector
	// has made them. The first one's don't have it.
	HeaderProjectorVersion = "angzarr-projector-version"
	// HeaderTraceparent is the W3C trace context.
	HeaderTraceparent = "traceparent"

	// The headers of a dead letter, beside those of the original record.
	HeaderDeadCause    = "angzarr-dead-cause"     // a gRPC code's name
	HeaderDeadMessage  = "angzarr-dead-message"   // what went wrong
	HeaderDeadTime     = "angzarr-dead-time"      // when: RFC 3339
	HeaderDeadAttempts = "angzarr-dead-attempts"  // how often it was tried
	HeaderDeadRoot     = "angzarr-dead-root"      // the root, where it could be read
	HeaderDeadNextPage = "angzarr-dead-next-page" // the root's next page then
	// HeaderDeadCut is set on a dead letter that would have been too large: it
	// has neither value nor headers of the original, which stands at the source.
	HeaderDeadCut       = "angzarr-dead-cut"
	HeaderDeadKey       = "angzarr-dead-key"        // the original's key, where it had one
	HeaderDeadNoValue   = "angzarr-dead-no-value"   // the original had no value
	HeaderDeadCommandID = "angzarr-dead-command-id" // the id under which the command was handled
	// HeaderDeadReplay is set on a dead letter of a projector or a saga that it is
	// asked to handle again: the offset at which the letter stood before.
	HeaderDeadReplay = "angzarr-dead-replay"
	// HeaderDeadDropped is set on the tombstone of a letter that was given up,
	// and says why.
	HeaderDeadDropped = "angzarr-dead-dropped"

	// HeaderReplayOf is set on a record that is written again because of a dead
	// letter, whose id it is; HeaderReplayAttempts says how often it was tried.
	HeaderReplayOf       = "angzarr-replay-of"
	HeaderReplayAttempts = "angzarr-replay-attempts"

	prefixDead = "angzarr-dead-"

	headerContentType = "content-type"
	headerSpecVersion = "ce_specversion"
	headerID          = "ce_id"
	headerType        = "ce_type"
	headerCESource    = "ce_source"
	headerSubject     = "ce_subject"
	headerTime        = "ce_time"
)

// The values of [HeaderKind].
const (
	KindEventBook = "event-book" // an EventBook to record
	KindErasure   = "erasure"    // an EraseRequest
	KindReaction  = "reaction"   // in the replies topic: a Reaction, not an Outcome
)
