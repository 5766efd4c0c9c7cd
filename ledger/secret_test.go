package ledger_test

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"sideledger/ledger"
	"sideledger/ledger/secrets"
)

func testCipher(t *testing.T) *secrets.Keyring {
	t.Helper()
	return ringUnder(t, secrets.NewKey())
}

func ringUnder(t *testing.T, k secrets.Key) *secrets.Keyring {
	t.Helper()
	root, err := secrets.NewRoot(k)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := secrets.Open(k, nil, root)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// everything is all that the stand's ledger has written or would say: database files, entries, journal, plan.
func (s *stand) everything() string {
	s.Helper()
	var b bytes.Buffer
	b.Write(postgres.Written(s, s.url))
	list, err := s.ledger.Entries(s.Context(), ledger.EntryQuery{WindowID: s.window, Limit: 100})
	if err != nil {
		s.Fatal(err)
	}
	records, err := s.ledger.Records(s.Context(), ledger.RecordQuery{WindowID: s.window, Limit: 1000})
	if err != nil {
		s.Fatal(err)
	}
	for _, r := range records {
		b.Write(r.Body)
	}
	_, err = s.ledger.Plan(s.Context(), s.window, ledger.Selection{}, func(step ledger.Step) error {
		fmt.Fprintf(&b, "%s %+v %s %s %v %s", step.Detail, step.Request, step.Now.JSON, step.Request.Body, step.Request.Header, step.Request.URL)
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	for i := range list {
		fmt.Fprintf(&b, "%+v %s %s %s", list[i], list[i].Before.JSON, list[i].After.JSON, list[i].Now.JSON)
	}
	return b.String()
}

// leaks returns what of the texts stands anywhere, as it is, in base64 or in hex.
func (s *stand) leaks(texts ...string) []string {
	s.Helper()
	all := s.everything()
	var out []string
	for _, text := range texts {
		for _, form := range []string{text, base64.RawStdEncoding.EncodeToString([]byte(text)), hex.EncodeToString([]byte(text))} {
			if strings.Contains(all, form) {
				out = append(out, form)
			}
		}
	}
	return out
}

func TestASecretIsNowhereAndComesBackByteForByte(t *testing.T) {
	long := strings.Repeat("k3y", 2000)
	for name, c := range map[string]struct {
		before, after string
		secret        []string
		plant         []string
	}{
		"text":          {`{"token":"canary-alpha","n":1}`, `{"token":"canary-beta","n":2}`, []string{"/token"}, []string{"canary-alpha", "canary-beta"}},
		"escaped":       {`{"token":"can\u0061ry\/alpha","n":1.0}`, `{"token":"canary-beta","n":2}`, []string{"/token"}, []string{`can\u0061ry`, "canary/alpha"}},
		"unicode":       {`{"token":"кэнэри-ключ","n":1}`, `{"token":"x","n":2}`, []string{"/token"}, []string{"кэнэри-ключ"}},
		"number":        {`{"pin":48151623,"n":1}`, `{"pin":4815162342,"n":2}`, []string{"/pin"}, []string{"48151623"}},
		"object":        {`{"auth":{"user":"u","pass":"canary-alpha"},"n":1}`, `{"auth":{"user":"u","pass":"canary-beta"},"n":2}`, []string{"/auth"}, []string{"canary-alpha", "canary-beta"}},
		"array":         {`{"keys":["canary-alpha","canary-gamma"]}`, `{"keys":["canary-beta"]}`, []string{"/keys"}, []string{"canary-alpha", "canary-gamma", "canary-beta"}},
		"each element":  {`{"hooks":[{"s":"canary-alpha","u":1},{"s":"canary-gamma","u":2}]}`, `{"hooks":[{"s":"canary-beta","u":1}]}`, []string{"/hooks/-/s"}, []string{"canary-alpha", "canary-gamma", "canary-beta"}},
		"whole image":   {`"canary-alpha"`, `"canary-beta"`, []string{""}, []string{"canary-alpha", "canary-beta"}},
		"from the root": {`{"token":"canary-alpha"}`, `{"token":"canary-beta"}`, []string{"/before/token"}, []string{"canary-alpha", "canary-beta"}},
		"odd name":      {`{"a/b~c\"d":"canary-alpha"}`, `{"a/b~c\"d":"canary-beta"}`, []string{`/a~1b~0c"d`}, []string{"canary-alpha", "canary-beta"}},
		"spread":        {`{"token":"canary-alpha","url":"https://x/?t=canary-alpha"}`, `{"token":"canary-beta","url":"https://x/?t=canary-beta"}`, []string{"/token"}, []string{"canary-alpha", "canary-beta"}},
		"in base64":     {`{"token":"canary-alpha","h":"b Y2FuYXJ5LWFscGhh"}`, `{"token":"canary-beta","h":""}`, []string{"/token"}, []string{"canary-alpha", "canary-beta"}},
		"long":          {`{"token":"` + long + `"}`, `{"token":"canary-beta"}`, []string{"/token"}, []string{long, "canary-beta"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			d := update("/a", c.before, c.after)
			d.Secret = c.secret
			e := s.fact(d)
			if e.State != ledger.EntryApplied || !strings.Contains(string(e.Before.JSON), `{"$secret":"hmac:`) {
				t.Fatalf("before is %s", e.Before.JSON)
			}
			if found := s.leaks(c.plant...); len(found) > 0 {
				t.Fatalf("recorded: %q can be read", found)
			}
			s.third.Set("/a", `{"else":"canary-drift"}`) // drift: what it shows is hidden too, as far as it is secret
			if run := s.roll(); run.Complete || run.Counts.Stuck != 1 {
				t.Fatalf("over drift: %+v", run.Counts)
			}
			s.third.Set("/a", c.after)
			if found := s.leaks(c.plant...); len(found) > 0 {
				t.Fatalf("in a plan: %q can be read", found)
			}
			if run := s.roll(); !run.Complete || s.third.Get("/a") != c.before {
				t.Fatalf("complete %t, it shows %s", run.Complete, s.third.Get("/a"))
			}
			if found := s.leaks(c.plant...); len(found) > 0 {
				t.Fatalf("rolled back: %q can be read", found)
			}
		})
	}
}

func TestWhatATelltaleHashWouldGive(t *testing.T) {
	s := newStand(t)
	d := update("/a", `{"pin":"1234"}`, `{"pin":"5678"}`)
	d.ID, d.Secret, d.State, d.Perform, d.OnRollback = ledger.NewID(), []string{"/pin"}, ledger.EntryApplied, ledger.DefaultPerform, ledger.OnRollbackUndo
	e := s.fact(d)
	raw, err := ledger.EncodeDraft(&d)
	if err != nil {
		t.Fatal(err)
	}
	if plain := sha256.Sum256(raw); e.Posted == plain {
		t.Error("the hash of the posted entry has no key: a PIN can be guessed from it")
	}
	s.third.Set("/a", `{"pin":"9999"}`)
	s.roll()
	e, err = s.ledger.Entry(t.Context(), e.ID)
	if err != nil || e.State != ledger.EntryStuck || e.NowDigest == "" {
		t.Fatalf("%s, digest %q, %v", e.State, e.NowDigest, err)
	}
	open := ledger.Compare(ledger.Image{}, ledger.Image{}, doc(`{"pin":"9999"}`), ledger.Scope{Owned: []string{"/pin"}}).Digest
	if e.NowDigest == open {
		t.Error("the digest of what it shows has no key")
	}
	if strings.Contains(string(e.Now.JSON), "9999") || !strings.Contains(string(e.Now.JSON), "$secret") {
		t.Errorf("now is %s", e.Now.JSON)
	}
}

func TestTheSameSecretsAgainAreTheSameEntry(t *testing.T) {
	s := newStand(t)
	d := update("/a", `{"token":"canary-alpha"}`, `{"token":"canary-beta"}`)
	d.ID, d.Secret = ledger.NewID(), []string{"/token"}
	first := s.mustRecord(d)
	got, err := s.ledger.Record(t.Context(), s.window, []ledger.Draft{d})
	if err != nil || !got[0].Replay || got[0].Entry.Seq != first.Seq {
		t.Fatalf("the same again: %+v, %v", got, err)
	}
	d.Before = doc(`{"token":"canary-other"}`)
	_, err = s.record(d)
	s.wantCode("another secret under the same id", err, ledger.CodeConflict)
	d.Before, d.Secret = doc(`{"token":"canary-alpha"}`), nil
	_, err = s.record(d)
	s.wantCode("the same without secret", err, ledger.CodeConflict)
}

func TestEqualSecretsHaveEqualFingerprints(t *testing.T) {
	s := newStand(t)
	d := update("/a", `{"a":"canary","b":1.0}`, `{"a":"can\u0061ry","b":10e-1}`)
	d.Secret = []string{"/a", "/b"}
	e := s.mustRecord(d)
	if string(e.Before.JSON) != string(e.After.JSON) {
		t.Errorf("%s and %s", e.Before.JSON, e.After.JSON)
	}
	other := newStand(t)
	if o := other.mustRecord(d); string(o.Before.JSON) == string(e.Before.JSON) {
		t.Error("another ledger has the same fingerprints")
	}
}

func TestReportsAndCapturesAreHidden(t *testing.T) {
	s := newStand(t)
	d := update("/a", `{"token":"canary-alpha","old":"none"}`, "")
	d.Secret = []string{"/token"}
	e := s.mustRecord(d)
	after := doc(`{"token":"canary-beta","old":"canary-alpha"}`)
	s.third.Set("/a", string(after.JSON))
	for range 2 { // saying it again changes nothing
		got, err := s.ledger.Applied(t.Context(), e.ID, ledger.Report{After: after})
		if err != nil || got.State != ledger.EntryApplied || !slices.Contains(got.Secret, "/old") {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	_, err := s.ledger.Applied(t.Context(), e.ID, ledger.Report{After: doc(`{"token":"canary-else"}`)})
	s.wantCode("another after-image", err, ledger.CodeConflict)
	s.third.Set("/b", `{"token":"canary-gamma"}`)
	c := update("/b", "", "")
	c.Secret, c.Capture = []string{"/token"}, true
	captured := s.mustRecord(c)
	s.third.Set("/b", `{"token":"canary-delta"}`)
	if captured, err = s.ledger.Applied(t.Context(), captured.ID, ledger.Report{}); err != nil || !strings.Contains(string(captured.After.JSON), "$secret") {
		t.Fatalf("captured: %+v, %v", captured, err)
	}
	if found := s.leaks("canary-alpha", "canary-beta", "canary-gamma", "canary-delta"); len(found) > 0 {
		t.Fatalf("%q can be read", found)
	}
	if run := s.roll(); !run.Complete || s.third.Get("/a") != `{"token":"canary-alpha","old":"none"}` || s.third.Get("/b") != `{"token":"canary-gamma"}` {
		t.Errorf("%+v: /a %s, /b %s", run.Counts, s.third.Get("/a"), s.third.Get("/b"))
	}
}

func TestALateFactUsesTheBaselinesSecrets(t *testing.T) {
	s := newStand(t)
	d := update("/a", `{"token":"canary-alpha"}`, `{"token":"canary-beta"}`)
	d.Secret = []string{"/token"}
	s.fact(d)
	s.roll()
	late := update("/a", `{"token":"canary-beta"}`, `{"token":"canary-gamma"}`)
	late.Secret = []string{"/token"}
	e := s.fact(late)
	if _, err := s.ledger.Resolve(t.Context(), e.ID, ledger.Resolution{Decision: ledger.DecideRetry, Reason: "undo it"}); err != nil {
		t.Fatal(err)
	}
	if run := s.roll(); !run.Complete || s.third.Get("/a") != `{"token":"canary-alpha"}` {
		t.Errorf("%+v, /a %s", run.Counts, s.third.Get("/a"))
	}
	if found := s.leaks("canary-alpha", "canary-beta", "canary-gamma"); len(found) > 0 {
		t.Errorf("%q can be read", found)
	}
}

func TestEntriesOfOneResourceMayDifferInWhatIsSecret(t *testing.T) {
	s := newStand(t)
	first := update("/a", `{"token":"canary-alpha","n":1}`, `{"token":"canary-beta","n":1}`)
	first.Secret = []string{"/token"}
	s.fact(first)
	s.fact(update("/a", `{"token":"canary-beta","n":1}`, `{"token":"canary-gamma","n":1}`)) // its script forgot to say so
	checked, err := s.ledger.Verify(t.Context(), s.window)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range checked {
		if c.Verdict != ledger.CheckSame {
			t.Errorf("entry %d is %s: %s", c.Seq, c.Verdict, c.Detail)
		}
	}
	if run := s.roll(); !run.Complete || s.third.Get("/a") != `{"token":"canary-alpha","n":1}` {
		t.Errorf("%+v, /a %s", run.Counts, s.third.Get("/a"))
	}
}

// An owned field below a secret one is compared as far as anybody can: by the whole.
func TestOwnedBelowASecretIsStillCompared(t *testing.T) {
	s := newStand(t)
	d := update("/a", `{"auth":{"pass":"canary-alpha"}}`, `{"auth":{"pass":"canary-beta"}}`)
	d.Secret, d.Owned = []string{"/auth"}, []string{"/auth/pass"}
	s.fact(d)
	s.third.Set("/a", `{"auth":{"pass":"canary-else"}}`)
	if run := s.roll(); run.Complete || s.third.Get("/a") != `{"auth":{"pass":"canary-else"}}` {
		t.Errorf("drift was overwritten: %+v", run.Counts)
	}
	s.third.Set("/a", `{"auth":{"pass":"canary-beta"}}`)
	if run := s.roll(); !run.Complete || s.third.Get("/a") != `{"auth":{"pass":"canary-alpha"}}` {
		t.Errorf("%+v, /a %s", run.Counts, s.third.Get("/a"))
	}
}

func TestWhatASecretMayNotBe(t *testing.T) {
	s := newStand(t)
	fp := `{"$secret":"hmac:00112233445566778899aabbccddeeff"}`
	for field, change := range map[string]func(*ledger.Draft){
		"/secret/0":      func(d *ledger.Draft) { d.Secret = []string{"token"} },
		"/secret/1":      func(d *ledger.Draft) { d.Secret = []string{"/token", "/resource/path"} },
		"/resource/path": func(d *ledger.Draft) { d.Resource = json.RawMessage(`{"path":"/x/canary-alpha-123"}`) },
		"/before/token":  func(d *ledger.Draft) { d.Before = doc(`{"token":` + fp + `}`) },
		"/after/x/1":     func(d *ledger.Draft) { d.After = doc(`{"x":[1,` + fp + `]}`) },
		"/undo/path":     func(d *ledger.Draft) { d.Undo = json.RawMessage(`{"path":"/$secret:hmac:0011"}`) },
		"/before/e": func(d *ledger.Draft) {
			d.Before = doc(`{"e":{"\u0024secret":"hmac:00112233445566778899aabbccddeeff"}}`)
		},
		"/secret/2": func(d *ledger.Draft) {
			d.Secret, d.Volatile = []string{"/token", "/n", "/auth"}, []string{"/auth/at"}
		},
	} {
		d := update("/a", `{"token":"canary-alpha-123","n":1}`, `{"token":"canary-beta","n":2}`)
		d.Secret = []string{"/token"}
		change(&d)
		_, err := s.record(d)
		var e *ledger.Error
		if !asError(err, &e) || e.Code != ledger.CodeInvalid || e.Field != field {
			t.Errorf("%s: %v", field, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the refusal repeats the value: %v", field, err)
		}
	}
	if found := s.leaks("canary-alpha-123"); len(found) > 0 {
		t.Errorf("refused, and written all the same: %q", found)
	}
	d := update("/a", `{"token":"canary-alpha"}`, `{"token":"canary-beta"}`)
	d.Secret, d.Note = []string{"/token", "/nothing"}, "rotated canary-alpha away"
	e := s.mustRecord(d)
	if strings.Contains(e.Note, "canary-alpha") {
		t.Errorf("note: %s", e.Note)
	}
	if !slices.ContainsFunc(e.Warnings, func(w string) bool { return strings.Contains(w, "/nothing") }) {
		t.Errorf("no warning of a pointer at nothing: %q", e.Warnings)
	}
}

func TestARecipesSecretsAreHiddenAndUsed(t *testing.T) {
	s := newStand(t)
	d := update("/a", `{"token":"canary-alpha"}`, `{"token":"canary-beta"}`)
	d.Secret = []string{"/token", "/undo/body/pass"}
	d.Undo = json.RawMessage(`{"body":{"token":"canary-alpha","pass":"canary-pass"},"path":"/x?t=canary-beta"}`)
	e := s.fact(d)
	if found := s.leaks("canary-alpha", "canary-beta", "canary-pass"); len(found) > 0 {
		t.Errorf("%q can be read", found)
	}
	if len(e.Encrypted) != 5 {
		t.Errorf("%d values are encrypted: %+v", len(e.Encrypted), e.Encrypted)
	}
}

// Moving a ciphertext in the database to another entry or field opens nothing and sends nothing.
func TestMovedCiphertextBlocksTheEntry(t *testing.T) {
	s := newStand(t)
	for _, at := range []string{"/a", "/b"} {
		d := update(at, `{"token":"canary-alpha","other":"canary-gamma"}`, `{"token":"canary-beta","other":"canary-delta"}`)
		d.Secret = []string{"/token", "/other"}
		s.fact(d)
	}
	driver, name := "pgx", s.url
	text, bytes := "convert_from(body, 'UTF8')", "convert_to(%s, 'UTF8')"
	if file, embedded := strings.CutPrefix(s.url, "sqlite:"); embedded {
		driver, name, text, bytes = "sqlite", file, "CAST(body AS TEXT)", "CAST(%s AS BLOB)"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, change := range []string{
		"UPDATE entries SET data_key = (SELECT data_key FROM entries WHERE seq = 2) WHERE seq = 1",
		"UPDATE entries SET body = " + fmt.Sprintf(bytes, "replace("+text+`, '"/before/token"', '"/before/nowhere"')`) + " WHERE seq = 2",
	} {
		if _, err := db.Exec(change); err != nil {
			t.Fatal(err)
		}
	}
	if run := s.roll(); run.Counts.Stuck != 2 || len(s.third.Order()) != 0 {
		t.Errorf("%+v, sent %v", run.Counts, s.third.Order())
	}
	list, err := s.ledger.Entries(t.Context(), ledger.EntryQuery{WindowID: s.window, Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if e.Reason != ledger.ReasonBlocked || !strings.HasPrefix(e.Detail, "secret_unreadable") {
			t.Errorf("entry %d: %s, %s", e.Seq, e.Reason, e.Detail)
		}
	}
}

// The journal has the ciphertexts, the table of data keys the rest: a window can be rebuilt from the two.
func TestAJournalAndItsKeysRebuildTheSecrets(t *testing.T) {
	s := newStand(t)
	ring := testCipher(t)
	s.ledger = ledger.New(ledger.Config{Store: s.store, Systems: s.third, Clock: s.clock, Log: slog.New(slog.DiscardHandler), Waker: noWaker{}, Cipher: ring})
	d := update("/a", `{"token":"canary-alpha"}`, `{"token":"canary-beta"}`)
	d.Secret = []string{"/token"}
	e := s.fact(d)
	keys, err := s.store.DataKeys(t.Context(), s.window, uuid.Nil, 10)
	if err != nil || len(keys) != 1 || keys[0].Entry != e.ID {
		t.Fatalf("%+v, %v", keys, err)
	}
	records, err := s.ledger.Records(t.Context(), ledger.RecordQuery{WindowID: s.window, Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	var b ledger.Rebuilt
	for _, r := range records {
		if err := b.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]string{}
	for _, v := range b.Entries[0].Encrypted {
		plain, err := ring.Decrypt(ledger.Field{Entry: e.ID, Name: v.Field, DataKey: keys[0].Wrapped}, v.Text)
		if err != nil {
			t.Fatal(err)
		}
		got[v.Field] = plain.Reveal()
	}
	if got["/before/token"] != `"canary-alpha"` || got["/after/token"] != `"canary-beta"` || len(got) != 2 {
		t.Errorf("%v", got)
	}
}

func TestWithoutAKeySecretsAreRefused(t *testing.T) {
	s := newStand(t)
	s.ledger = ledger.New(ledger.Config{Store: s.store, Systems: s.third, Clock: s.clock, Log: slog.New(slog.DiscardHandler), Waker: noWaker{}})
	d := update("/a", `{"token":"canary-alpha"}`, `{"token":"canary-beta"}`)
	d.Secret = []string{"/token"}
	_, err := s.record(d)
	s.wantCode("a secret field without a key", err, ledger.CodeInvalid)
}
