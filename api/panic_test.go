package api

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// A panic's value may hold what a caller sent; what the runtime itself says does not.
func TestAPanicShowsNoValue(t *testing.T) {
	for want, fn := range map[string]func(){
		"string": func() { panic("canary-7f3a") }, "*errors.errorString": func() { panic(errors.New("canary-7f3a")) },
		"index out of range": func() { _ = []int{}[len(os.Args)] }, "[]uint8": func() { panic([]byte("canary-7f3a")) },
	} {
		func() {
			defer func() {
				if got := panicText(recover()); !strings.Contains(got, want) || strings.Contains(got, "canary") {
					t.Errorf("%s: %s", want, got)
				}
			}()
			fn()
		}()
	}
}
