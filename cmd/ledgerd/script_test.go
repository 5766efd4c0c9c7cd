package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"sideledger/remediators/remediatortest"
)

// TestScripts runs testdata/scripts/*.txtar with the built command, each against a real server with a real Caddy as its
// system edge. The token is an operator's.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/scripts",
		Setup: func(env *testscript.Env) error {
			s := newEffectStand(t, remediatortest.StartCaddy(t))
			for _, line := range s.env {
				name, value, _ := strings.Cut(line, "=")
				env.Setenv(name, value)
			}
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("PATH", filepath.Dir(s.tool)+":"+env.Getenv("PATH"))
			env.Setenv("ROLLBACK_TOKEN", s.server.run("token", "create", "--role", "operator"))
			return nil
		},
	})
}
