package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sideledger/api/client"
	"sideledger/api/wire"
)

// selection are the flags that pick entries of a window.
type selection struct {
	only, exclude  []string
	toEntry, toTag string
	restore        bool // the window's snapshot is restored in the same run
}

// AddFlags adds the flags to a command.
func (s *selection) AddFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringArrayVar(&s.only, "only", nil, "only these entries: `X` is an entry's id or number, system=NAME, kind=NAME or tag=NAME (repeatable)")
	f.StringArrayVar(&s.exclude, "exclude", nil, "all but these entries; `X` as above (repeatable)")
	f.StringVar(&s.toEntry, "to-entry", "", "back to entry `N` (id or number), which stays")
	f.StringVar(&s.toTag, "to-tag", "", "back to the newest entry with tag `T`, which stays")
	f.BoolVar(&s.restore, "restore-snapshot", false, "restore the window's snapshot in the same run: after what is marked before_restore, before the rest")
	cmd.MarkFlagsMutuallyExclusive("to-entry", "to-tag")
}

// selected refuses terms that are given and empty: an unset variable of a script must never widen what is
// undone.
func (s *selection) selected(cmd *cobra.Command) error {
	for _, name := range []string{"to-entry", "to-tag"} {
		if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
			return errors.New("--" + name + " is empty")
		}
	}
	if s.restore && !s.all() {
		return errors.New("--restore-snapshot goes with the whole window: leave out --only, --exclude, --to-entry and --to-tag")
	}
	for _, term := range slices.Concat(s.only, s.exclude) {
		if !termOK(term) {
			return errors.New("--only and --exclude take an entry's id or number, system=NAME, kind=NAME or tag=NAME, not " + strconv.Quote(term))
		}
	}
	if s.toEntry != "" && !entryOK(s.toEntry) {
		return errors.New("--to-entry takes an entry's id or number, not " + strconv.Quote(s.toEntry))
	}
	return nil
}

func termOK(term string) bool {
	if key, value, ok := strings.Cut(term, "="); ok {
		return value != "" && slices.Contains([]string{"system", "kind", "tag"}, key)
	}
	return entryOK(term)
}

func entryOK(s string) bool {
	if n, err := strconv.Atoi(s); err == nil {
		return n > 0
	}
	_, err := checkID("entry", s)
	return err == nil
}

func (s *selection) all() bool {
	return len(s.only) == 0 && len(s.exclude) == 0 && s.toEntry == "" && s.toTag == ""
}

func (s *selection) query() client.Selection {
	return client.Selection{Only: s.only, Exclude: s.exclude, ToEntry: s.toEntry, ToTag: s.toTag, RestoreSnapshot: s.restore}
}

func (s *selection) saved() wire.SavedSelection {
	return wire.SavedSelection{Only: s.only, Exclude: s.exclude, ToEntry: s.toEntry, ToTag: s.toTag, RestoreSnapshot: s.restore}
}

func selectionOf(s wire.SavedSelection) selection {
	return selection{only: s.Only, exclude: s.Exclude, toEntry: s.ToEntry, toTag: s.ToTag, restore: s.RestoreSnapshot}
}

// flags writes the selection as it is typed, with a space before each flag.
func (s *selection) flags() string {
	var b strings.Builder
	for _, t := range s.only {
		b.WriteString(" --only " + quote(t))
	}
	for _, t := range s.exclude {
		b.WriteString(" --exclude " + quote(t))
	}
	if s.toEntry != "" {
		b.WriteString(" --to-entry " + quote(s.toEntry))
	}
	if s.toTag != "" {
		b.WriteString(" --to-tag " + quote(s.toTag))
	}
	if s.restore {
		b.WriteString(" --restore-snapshot")
	}
	return b.String()
}
