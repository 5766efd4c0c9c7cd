// Package plugin is the remediator of systems whose knowledge lives in an executable outside: a plugin, in any
// language.
//
// Server and plugin speak one JSON object a line over stdin and stdout; docs/plugins.md has every message. A
// plugin describes requests and the server makes them, through the one outgoing client of package remediators: a
// plugin holds no credential, and its requests stay below the system's URL and within its allow list. The executable
// is pinned by its SHA-256 and run as a sealed copy of what was checked, by a launcher (see [Launch]) that first
// takes from it what it does not need: memory beyond its bound, files, sockets, other processes.
package plugin
