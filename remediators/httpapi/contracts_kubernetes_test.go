package httpapi

import (
	"sideledger/ledger"
	"sideledger/remediators/remediatortest/cards"
)

func configMapContracts() []contract {
	const list = "/api/v1/namespaces/shop/configmaps"
	const path = list + "/flags"
	put := func(body string) func(h hand) { return func(h hand) { h.Must("PUT", path, body) } }
	meta := `"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"flags","namespace":"shop"`
	return namedThing{
		kind: "kubernetes.configmap", path: path, resource: `{"namespace":"shop","name":"flags"}`, card: cards.Kubernetes, kept: list,
		create: func(h hand) { h.Must("POST", list, `{`+meta+`,"labels":{"a":"b"}},"data":{"bulk":"off"}}`) },
		update: put(`{` + meta + `},"data":{"bulk":"on"},"binaryData":{"x":"eA=="}}`), drift: put(`{` + meta + `},"data":{"bulk":"else"}}`),
	}.contracts()
}

func cronJobContracts() []contract {
	const list = "/apis/batch/v1/namespaces/shop/cronjobs"
	const path = list + "/import"
	patch := func(suspend string) func(h hand, r string) {
		return func(h hand, _ string) {
			h.Header["Content-Type"] = "application/json-patch+json"
			defer delete(h.Header, "Content-Type")
			h.Must("PATCH", path, `[{"op":"add","path":"/spec/suspend","value":`+suspend+`}]`)
		}
	}
	make := func(name, spec, suspend string, asked bool) contract {
		return contract{
			kind: "kubernetes.cronjob", guarded: true, action: ledger.ActionUpdate, name: name, card: cards.Kubernetes, kept: list, outcome: ledger.OutcomeUndone, asked: asked,
			seedFunc: func(h hand) string {
				h.Must("POST", list, `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"import"},"spec":{"schedule":"0 3 * * *"`+spec+`}}`)
				return `{"namespace":"shop","name":"import"}`
			},
			effectFunc: func(h hand, r string) string { patch(suspend)(h, r); return "" },
			driftFunc:  func(h hand, r string) { patch("null")(h, r) },
			removeFunc: func(h hand, _ string) { h.Must("DELETE", path, "") },
		}
	}
	return []contract{
		make("suspended with a deadline", `,"startingDeadlineSeconds":60`, "true", false), make("suspended without a deadline", "", "true", true),
		make("resumed", `,"suspend":true`, "false", false),
	}
}

func cronJobObjectContracts() []contract {
	const list = "/apis/batch/v1/namespaces/shop/cronjobs"
	doc := func(spec string) string {
		return `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"name":"import","namespace":"shop","labels":{"a":"b"}},"spec":{"schedule":"0 3 * * *"` + spec + `}}`
	}
	thing := func(spec, changed string) namedThing {
		return namedThing{
			kind: "kubernetes.cronjob_object", path: list + "/import", resource: `{"namespace":"shop","name":"import"}`, card: cards.Kubernetes, kept: list,
			create: func(h hand) { h.Must("POST", list, doc(spec)) },
			update: func(h hand) { h.Must("PUT", list+"/import", doc(changed)) },
			drift:  func(h hand) { h.Must("PUT", list+"/import", doc(`,"timeZone":"else"`)) },
		}
	}
	const deadline = `,"startingDeadlineSeconds":60`
	out := thing(deadline, deadline+`,"timeZone":"UTC"`).contracts()
	suspended := thing(`,"suspend":true`, `,"suspend":false`).contracts()[1]
	unbounded := thing("", `,"suspend":true`).contracts()[1]
	suspended.name, unbounded.name, unbounded.asked = "of one that was suspended", "of one without a deadline", true
	return append(out, suspended, unbounded)
}
