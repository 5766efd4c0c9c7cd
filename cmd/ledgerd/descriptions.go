package main

import (
	"maps"

	"sideledger/ledger"
)

// descriptions say of each built-in remediator what its kinds are and what stands behind it.
func descriptions() map[string]ledger.Description {
	every := everyAction()
	all := map[string]ledger.Description{
		"http": {
			Page:     "Any HTTP API with a way to read and a way to undo: the recipe in the entry, or a profile.",
			BackedBy: "a third party that misbehaves on purpose; profiles caddy and rabbitmq: a real Caddy 2.6.2 and RabbitMQ",
			Kinds: []ledger.KindDescription{
				{Kind: "http.request", Says: "One resource of an HTTP API, by the recipe in the entry.", Actions: every},
			},
		},
		"command": {Page: "Programs of the configuration, for each look and each undo.", BackedBy: "programs of its tests"},
		"manual": {
			Page: "Steps for people; nothing is ever sent.", BackedBy: "nothing to call",
			Kinds: []ledger.KindDescription{
				{Kind: "manual", Says: "A step for a person.", Actions: every, Reversible: ledger.ReversibleManual},
				{Kind: "manual.*", Says: "A step for a person, of a sort.", Actions: every, Reversible: ledger.ReversibleManual},
			},
		},
		"alertmanager": {
			Page: "Silences of an Alertmanager.", BackedBy: "a real Alertmanager 0.25.0",
			Kinds: []ledger.KindDescription{
				{Kind: "alertmanager.silence", Says: "A silence.", Actions: every, Reversible: ledger.ReversibleExact},
			},
		},
		"unleash": {
			Page: "Toggles and addons of an Unleash.", BackedBy: "a real Unleash 7.5.1 on PostgreSQL 15",
			Kinds: []ledger.KindDescription{
				{Kind: "unleash.toggle", Says: "A feature flag in one environment.", Actions: []ledger.Action{ledger.ActionUpdate}, Reversible: ledger.ReversibleExact},
				{Kind: "unleash.addon", Says: "An addon: a webhook and the like.", Actions: every, Reversible: ledger.ReversibleExact},
				{Kind: "unleash.flag", Says: "A feature flag, but for its switches.", Actions: every, Reversible: ledger.ReversibleExact},
			},
		},
		"powerdns": {
			Page: "Records of a PowerDNS Authoritative Server.", BackedBy: "a real PowerDNS 4.7.3 (SQLite)",
			Kinds: []ledger.KindDescription{
				{Kind: "powerdns.rrset", Says: "All records of one name and type.", Actions: every, Reversible: ledger.ReversibleExact},
			},
		},
		"etcd": {
			Page: "Keys of an etcd, through its JSON gateway.", BackedBy: "a real etcd 3.4.23",
			Kinds: []ledger.KindDescription{
				{Kind: "etcd.key", Says: "A key.", Actions: every, Reversible: ledger.ReversibleExact},
			},
		},
	}
	maps.Copy(all, fixtures())
	return all
}

// fixtures are those that never met their third party: what stands behind them enforces what is known of it.
func fixtures() map[string]ledger.Description {
	every := everyAction()
	return map[string]ledger.Description{
		"vaultkv": {
			Page: "Secrets of a KV engine, version 2, of Vault or OpenBao.", BackedBy: "fixtures that enforce what is known of it; never run against a Vault or an OpenBao",
			Kinds: []ledger.KindDescription{
				{Kind: "vault.kv", Says: "A secret, by version: what it holds is never kept.", Actions: every, Reversible: ledger.ReversibleEquivalent},
			},
		},
		"route53": {
			Page: "Record sets of AWS Route 53.", BackedBy: "fixtures that enforce what is known of it; never run against AWS",
			Kinds: []ledger.KindDescription{
				{Kind: "route53.rrset", Says: "All records of one name, type and, where there are several, SetIdentifier.", Actions: every, Reversible: ledger.ReversibleExact},
			},
		},
		"ssm": {
			Page: "Parameters of AWS Systems Manager's Parameter Store.", BackedBy: "fixtures that enforce what is known of it; never run against AWS",
			Kinds: []ledger.KindDescription{
				{Kind: "ssm.parameter", Says: "A parameter; of a SecureString its version, never its value.", Actions: every, Reversible: ledger.ReversibleEquivalent},
			},
		},
	}
}

func everyAction() []ledger.Action {
	return []ledger.Action{ledger.ActionCreate, ledger.ActionUpdate, ledger.ActionDelete}
}
