package main

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A curlPiece is one option that says something of the body, as it stands; files are read when the call is made.
type curlPiece struct{ option, value string }

// A curlLine is a command line of curl, read and not judged.
type curlLine struct {
	args    []string
	urls    []string
	method  string // -X; empty: as the other options say
	data    []curlPiece
	headers []string
	routes  []curlPiece       // options that lead calls to another host than the address's
	values  map[string]string // the last argument of every other option that has one
	set     map[string]bool   // every option that is there and not switched off again
	refused []string          // options that cannot be carried, as they were typed
	unknown string            // what curl may know; empty: nothing
	bad     string            // what curl itself refuses; empty: nothing
	expands bool              // a part is made of --variable
}

// readCurl reads a command line as curl does.
func readCurl(args []string) *curlLine {
	l := &curlLine{args: args, values: map[string]string{}, set: map[string]bool{}}
	table := newCurlTable()
	for rest := args; len(rest) > 0; {
		arg := rest[0]
		rest = rest[1:]
		switch {
		case arg == "--" && !l.set["--"]:
			l.set["--"] = true
		case l.set["--"] || arg == "-" || !strings.HasPrefix(arg, "-"):
			l.urls = append(l.urls, arg)
		case strings.HasPrefix(arg, "--"):
			rest = l.readLong(table, arg, rest)
		default:
			rest = l.readShorts(table, arg, rest)
		}
		if l.unknown != "" || l.bad != "" {
			return l
		}
	}
	return l
}

func (l *curlLine) readLong(table *curlTable, arg string, rest []string) []string {
	o, off := table.find(arg[2:])
	switch {
	case o == nil:
		l.unknown = arg
	case !o.value:
		l.take(o, arg, "", off)
	case len(rest) == 0:
		l.bad = arg + " requires an argument"
	default:
		l.take(o, arg, rest[0], false)
		return rest[1:]
	}
	return rest
}

// readShorts reads a cluster: letters without an argument, and at most one with, whose argument is the rest of the
// cluster or the next word.
func (l *curlLine) readShorts(table *curlTable, arg string, rest []string) []string {
	for i := 1; i < len(arg); i++ {
		o := table.short[arg[i]]
		switch {
		case o == nil:
			l.unknown = "-" + arg[i:i+1]
			return rest
		case !o.value:
			l.take(o, "-"+arg[i:i+1], "", false)
			continue
		case i+1 < len(arg):
			l.take(o, "-"+arg[i:i+1], arg[i+1:], false)
			return rest
		case len(rest) == 0:
			l.bad = "-" + arg[i:i+1] + " requires an argument"
			return rest
		}
		l.take(o, "-"+arg[i:i+1], rest[0], false)
		return rest[1:]
	}
	return rest
}

func (l *curlLine) take(o *curlOption, typed, value string, off bool) {
	if l.set[o.name] = !off; off {
		return
	}
	if o.fate == curlRefuses {
		l.refused = append(l.refused, typed)
	}
	switch o.name {
	case "request":
		l.method = value
	case "url":
		l.urls = append(l.urls, value)
	case "header":
		l.headers = append(l.headers, value)
	case "data", "data-ascii", "data-raw", "data-binary", "data-urlencode", "json":
		l.data = append(l.data, curlPiece{o.name, value})
	case "output", "remote-name":
		if _, twice := l.values["output"]; twice {
			l.refused = append(l.refused, typed+" twice")
		}
		l.values["output"] = value
	case "connect-to", "resolve", "proxy", "preproxy", "proxy1.0", "socks4", "socks4a", "socks5", "socks5-hostname":
		l.routes = append(l.routes, curlPiece{o.name, value})
	default:
		l.values[o.name] = value
	}
	l.expands = l.expands || strings.HasPrefix(o.name, "expand-")
}

// alone reports whether curl makes no call with this line.
func (l *curlLine) alone() bool {
	return l.bad != "" || l.set["help"] || l.set["manual"] || l.set["version"] || len(l.args) == 0
}

// hidden reports whether a part of what curl does cannot be seen in the line.
func (l *curlLine) hidden() bool { return l.unknown != "" || l.set["config"] || l.expands }

// verb is the method that curl would send.
func (l *curlLine) verb() string {
	switch {
	case l.method != "":
		return l.method
	case l.set["head"]:
		return http.MethodHead
	case l.set["upload-file"]:
		return http.MethodPut
	case l.set["get"]:
		return http.MethodGet
	case len(l.data) > 0 || l.set["form"] || l.set["form-string"]:
		return http.MethodPost
	default:
		return http.MethodGet
	}
}

// reads reports whether the line changes nothing by its method. Of several calls in one line (--next) each has options
// of its own, so any sign of a change counts.
func (l *curlLine) reads() bool {
	read := func(verb string) bool {
		return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace}, verb)
	}
	if !l.set["next"] {
		return read(l.verb())
	}
	return read(l.verb()) && len(l.data) == 0 && !l.set["upload-file"] && !l.set["form"] && !l.set["form-string"] && !l.set["request"]
}

// uncarried says why a changing call cannot be carried faithfully; empty: it can.
func (l *curlLine) uncarried() string {
	switch {
	case len(l.refused) > 0:
		return strings.Join(l.refused, ", ") + " cannot be carried through the ledger"
	case len(l.urls) != 1:
		return "one call of several addresses cannot be carried through the ledger: make one call for each"
	case l.set["upload-file"] && len(l.data) > 0, l.set["head"]:
		return "you can only select one HTTP request method"
	case l.set["upload-file"] && slices.Contains([]string{"-", ".", ""}, l.values["upload-file"]):
		return "an upload from a stream cannot be carried through the ledger: give a file, or --data-binary @-"
	case strings.HasPrefix(l.values["dump-header"], "%"):
		return "-D to such a place cannot be carried through the ledger"
	}
	if _, err := readWriteOut(l.values["write-out"]); err != nil {
		return fmt.Sprintf("-w cannot be carried through the ledger: %v", err)
	}
	return ""
}
