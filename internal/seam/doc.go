// Package seam names the rules that the chaos checker switches off, to show that
// it would notice. In a program as it is built all of them are constants: the
// compiler leaves nothing of what they guard. With the build tag chaos_seams one
// of them can be chosen by the environment:
//
//	CHAOS_SEAM=fence   a transaction is checked against no claim, and no generation
//	CHAOS_SEAM=end     a takeover stops short of the high watermark
//	CHAOS_SEAM=ids     a command that was applied is applied again
//	CHAOS_SEAM=offset  what events led to is committed before their offset is
//
// Such a program also stops itself (SIGSTOP) before its next commit when it gets
// SIGUSR1, whichever rule is off, or none.
package seam
