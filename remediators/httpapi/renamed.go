package httpapi

import (
	"encoding/json"
	"maps"
	"slices"

	"sideledger/ledger"
	"sideledger/remediators"
)

// pointers is an object of JSON pointers.
func (f *fields) pointers(name string) map[string][]string {
	s, ok := f.sub(name)
	if !ok {
		return nil
	}
	out := map[string][]string{}
	for _, member := range slices.Sorted(maps.Keys(s.m)) {
		out[member] = s.pointer(member)
	}
	return out
}

// sentences is a list of texts for people.
func (f *fields) sentences(name string) []string {
	raw := f.raw(name)
	if raw == nil {
		return nil
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil || len(list) == 0 {
		f.p.fail(f.at(name), "has to be a list of texts")
	}
	return list
}

// checkRenamed refuses a recipe that would make a name of a secret: the name is kept and shown.
func (p *prepared) checkRenamed(d *ledger.Draft) error {
	if p.recipe.undo == nil {
		return nil
	}
	for _, member := range slices.Sorted(maps.Keys(p.recipe.undo.renamed)) {
		if i := d.SecretMember(member); i >= 0 {
			return ledger.NameIsSecret(i, member)
		}
	}
	return nil
}

// consequences says in an accepted answer under which name the resource came back, and what somebody has to
// be told of it.
func (u *undoing) consequences(ans ledger.Answer, e *ledger.Entry, reply remediators.Reply) ledger.Answer {
	if ans.Class != ledger.AnswerAccepted {
		return ans
	}
	ans.Residue = append(ans.Residue, u.tell...)
	doc, why := remediators.Document(reply)
	old, alias := e.Where(), []byte{}
	for _, member := range slices.Sorted(maps.Keys(u.renamed)) {
		is, ok := at(doc, u.renamed[member])
		if _, scalar := text(is); why != "" || !ok || !scalar {
			ans.Residue = append(ans.Residue, "its answer does not say the new "+member+": whoever uses the old one has to look for it")
			continue
		}
		was, _ := at(old, []string{member})
		if same(was, is) {
			continue
		}
		ans.Residue = append(ans.Residue, "its "+member+" is "+string(is)+" now, it was "+string(was)+": whoever uses the old one has to be told")
		alias = append(append(append(alias, ','), quote(member)...), ':')
		alias = append(alias, is...)
	}
	if len(alias) > 0 {
		alias[0] = '{'
		ans.Alias = append(alias, '}')
	}
	return ans
}
