package httpapi

import (
	"fmt"
	"time"

	"sideledger/ledger"
	"sideledger/remediators/remediatortest/cards"
)

// exampleContracts are those of docs/examples/profile/statuspage.yaml, which docs/writing-a-remediator.md is about.
func exampleContracts() []contract {
	r := rest{
		kind: "statuspage.banner", list: "/banners", card: statusPage, patch: "PATCH", again: ledger.OutcomeCompensated,
		created: `{"text":"all is well","shown":true}`, resource: `{"id":%s`, drift: `{"text":"else"}`,
	}
	out := []contract{r.create(), r.update("", "", `{"shown":false}`), r.deleted("", "")}
	for i := range out {
		out[i].kept = "" // the third party of the example keeps them itself
	}
	return out
}

// statusPage is the third party of the example.
func statusPage() cards.Card {
	docs, next := map[string]map[string]any{}, 0
	show := func(c *cards.Call) (int, any) {
		if doc := docs[c.Vars["id"]]; doc != nil {
			return 200, doc
		}
		return 404, nil
	}
	set := func(c *cards.Call, id string, status int) (int, any) {
		in, ok := c.JSON()
		if !ok || docs[id] == nil {
			return 422, nil
		}
		for name, v := range in {
			docs[id][name] = v
		}
		docs[id]["changed_at"] = time.Now().String()
		return status, docs[id]
	}
	return cards.Card{
		Name: "statuspage", Credential: [2]string{"X-Api-Key", ""}, Need: map[string]string{"X-Api-Version": "2"}, LimitFunc: cards.LimitSeconds("Retry-After"),
		Routes: []cards.Route{
			{Method: "GET", Path: "/banners", HandleFunc: func(*cards.Call) (int, any) {
				items := []any{}
				for _, doc := range docs {
					items = append(items, doc)
				}
				return 200, map[string]any{"items": items}
			}},
			{Method: "POST", Path: "/banners", HandleFunc: func(c *cards.Call) (int, any) {
				next++
				docs[fmt.Sprint(next)] = map[string]any{"id": next}
				return set(c, fmt.Sprint(next), 201)
			}},
			{Method: "GET", Path: "/banners/{id}", HandleFunc: show},
			{Method: "PATCH", Path: "/banners/{id}", HandleFunc: func(c *cards.Call) (int, any) { return set(c, c.Vars["id"], 200) }},
			{Method: "DELETE", Path: "/banners/{id}", HandleFunc: func(c *cards.Call) (int, any) {
				if status, _ := show(c); status == 404 {
					return 404, nil
				}
				delete(docs, c.Vars["id"])
				return 204, nil
			}},
		},
	}
}
