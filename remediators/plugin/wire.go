package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"regexp"

	"sideledger/ledger"
)

// The versions of the line protocol. The server greets with the oldest that it speaks, so that a plugin which knows no
// other goes on working; the plugin answers with the one that it speaks.
const (
	Protocol       = 1 // the oldest
	protocolKey    = 2 // a check may say the resource's key
	protocolNewest = protocolKey
)

// The calls.
const (
	callDescribe = "describe"
	callCheck    = "check"
	callLook     = "look"
	callPreview  = "preview"
	callUndo     = "undo"
	callExample  = "example"
)

// A greeting is the first line of either side.
type greeting struct {
	Protocol int    `json:"protocol"`
	Name     string `json:"name"`
}

var pluginName = regexp.MustCompile(`^[a-z][a-z0-9.-]{0,63}$`)

// A message is what the server says: a call, an answer to a request, or the end of a call that it gave up.
type message struct {
	ID     int64           `json:"id"`
	Call   string          `json:"call,omitempty"`
	Entry  *entryMessage   `json:"entry,omitempty"`
	Seen   *seenMessage    `json:"seen,omitempty"`
	Case   json.RawMessage `json:"case,omitempty"`
	Answer *answerMessage  `json:"answer,omitempty"`
	End    string          `json:"end,omitempty"` // why; nothing more is said or expected for this id
}

// An entryMessage is an entry as a plugin gets it. Values of secret fields are placeholders.
type entryMessage struct {
	ID       string          `json:"id"`
	System   string          `json:"system"`
	Kind     string          `json:"kind"`
	Action   ledger.Action   `json:"action"`
	State    string          `json:"state"`
	Resource json.RawMessage `json:"resource"`
	Before   json.RawMessage `json:"before,omitempty"` // null: absence; left out: unknown
	After    json.RawMessage `json:"after,omitempty"`
}

// A seenMessage is the look that an undo starts from.
type seenMessage struct {
	Now       json.RawMessage `json:"now"` // null: absence
	Proven    bool            `json:"proven"`
	Validator string          `json:"validator"`
	Alias     json.RawMessage `json:"alias,omitempty"`
}

// An answerMessage is what a third party answered.
type answerMessage struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`        // names in small letters
	Body    json.RawMessage   `json:"body,omitempty"` // of an answer that is JSON
	Text    string            `json:"text,omitempty"` // of another answer that is text
}

// said is what a plugin says: one member beside id.
type said struct {
	ID       int64           `json:"id"`
	Describe *Description    `json:"describe"`
	Check    *checkResult    `json:"check"`
	Request  *request        `json:"request"`
	Look     *lookResult     `json:"look"`
	Preview  *request        `json:"preview"`
	Undo     *undoResult     `json:"undo"`
	Example  json.RawMessage `json:"example"`
	Error    *refusalMessage `json:"error"`
}

// members counts what was said beside the id.
func (s *said) members() int {
	n := 0
	for _, there := range []bool{
		s.Describe != nil, s.Check != nil, s.Request != nil, s.Look != nil, s.Preview != nil, s.Undo != nil, s.Example != nil, s.Error != nil,
	} {
		if there {
			n++
		}
	}
	return n
}

// A request is one call that the server is asked to make.
type request struct {
	Method     string            `json:"method"`
	Path       string            `json:"path"`  // below the system's url, escaped
	Query      string            `json:"query"` // escaped, without '?'
	Headers    map[string]string `json:"headers"`
	Body       json.RawMessage   `json:"body"`
	Repeatable bool              `json:"repeatable"` // sent twice it does no more than once
	Summary    string            `json:"summary"`    // for people; with preview only
}

// A lookResult is what a plugin makes of the answers to a look.
type lookResult struct {
	Now       json.RawMessage `json:"now"` // null: absence
	Unknown   bool            `json:"unknown"`
	Proven    bool            `json:"proven"`
	Validator string          `json:"validator"`
	Owned     []string        `json:"owned"`
	Masked    []string        `json:"masked"`
	Volatile  []string        `json:"volatile"`
	Unordered []string        `json:"unordered"`
	Alias     json.RawMessage `json:"alias"`
	Between   bool            `json:"between"`
	Lost      string          `json:"lost"`
}

// An undoResult is what a plugin makes of the answer to an undo.
type undoResult struct {
	Result  ledger.AnswerClass `json:"result"` // empty: what HTTP says of the answer
	Detail  string             `json:"detail"`
	Residue []string           `json:"residue"`
	Alias   json.RawMessage    `json:"alias"`
}

// A checkResult grades an entry.
type checkResult struct {
	Reversible ledger.Reversibility `json:"reversible"`
	CanLook    bool                 `json:"can_look"`
	Warnings   []string             `json:"warnings"`
	Key        json.RawMessage      `json:"key"` // names the resource; null: nothing does yet; left out: its members do
}

// sound reports whether a plugin that speaks this version may grade an entry so.
func (c *checkResult) sound(protocol int) bool {
	key := bytes.TrimSpace(c.Key)
	named := len(key) > 0 && (key[0] == '{' || string(key) == "null")
	return grade(c.Reversible) && (len(key) == 0 || named && protocol >= protocolKey)
}

// A refusalMessage says why a plugin does not do what it was called for.
type refusalMessage struct {
	Field   string `json:"field"` // of check: JSON pointer from the entry's root
	Message string `json:"message"`
}

// encode makes one line, without its end. Raw parts keep their literals.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// strict reads one JSON object, no more and no other members.
func strict(line []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("more than one document")
	}
	return nil
}
