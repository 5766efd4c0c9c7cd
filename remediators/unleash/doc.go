// Package unleash is the remediator of Unleash's toggles and of its webhook registrations (addons). It is code
// and not a profile: switching a toggle on may leave a strategy behind, so that an undo takes several calls;
// an archived feature flag answers 404 to one read and 200 to another; and addons mask the very values that
// an undo has to send.
//
// Unleash has no conditional write: If-Match is ignored. Between a look and its undo somebody else's change is
// overwritten, a gap of a few milliseconds.
package unleash
