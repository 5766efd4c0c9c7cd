package main

import "testing"

// What stands behind each remediator is said; a plugin says it itself.
func TestEveryRemediatorIsDescribed(t *testing.T) {
	about := descriptions()
	for name := range factories() {
		if d := about[name]; name != "plugin" && (d.Page == "" || d.BackedBy == "") {
			t.Errorf("%s is not described", name)
		}
	}
	for name := range about {
		if factories()[name] == nil {
			t.Errorf("%s is described, and is none", name)
		}
	}
}
