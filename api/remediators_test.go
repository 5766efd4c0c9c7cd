package api

import (
	"testing"

	"sideledger/api/wire"
)

func TestRemediatorsAreListed(t *testing.T) {
	b := newBench(t)
	var list wire.RemediatorList
	b.do(req{method: "GET", path: "/v1/remediators"}, 200, &list)
	if len(list.Items) != 1 || list.Items[0].System == "" || len(list.Items[0].Kinds) == 0 || list.Items[0].Broken != "" {
		t.Errorf("%+v", list)
	}
}
