// Package httpapi is the declarative remediator: entries of kind http.request say themselves how to look
// at their resource and how to undo the effect, and a profile says the same for whole kinds, so that an
// entry of such a kind carries only resource, before and after.
//
// Everything an entry brings is data. References like {{before.config.url}} are put into a JSON tree, a
// path segment, a query value or a header value, escaped for where they stand; they reach no environment,
// file or network, and never the host or a credential. Numbers keep their literals, documents their bytes.
package httpapi
