package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/google/uuid"

	"sideledger/api/client"
)

// mostHeads is how many windows' heads are kept of one ledger: the ones that were answered last.
const mostHeads = 200

// A headFile keeps the newest head of each window that one ledger answered, in a file of the state folder. The ledger seals
// what it answers, so a head is kept and sent back as it came: see wire.HeaderHead. Several commands may use the
// file at once. What goes wrong with it never fails a call; it only leaves a restore unnoticed by this client.
type headFile struct {
	name string // of the file
	mu   sync.Mutex
}

var _ client.Heads = (*headFile)(nil)

// keptHead is one line of the file, newest last.
type keptHead struct {
	Window string `json:"window"`
	Head   string `json:"head"` // as answered
}

type headDoc struct {
	URL   string     `json:"url"`
	Heads []keptHead `json:"heads"`
}

// keptHeads returns what keeps the heads of the ledger at base; nil where there is no folder for state.
func (a *app) keptHeads(base string) client.Heads {
	dir, err := a.stateFolder("heads")
	if err != nil {
		return nil
	}
	sum := sha256.Sum256([]byte(base))
	return &headFile{name: filepath.Join(dir, hex.EncodeToString(sum[:8])+".json")}
}

// warnOnce says a server's warning once.
func (a *app) warnOnce() func(string) {
	var once sync.Once
	return func(text string) { once.Do(func() { a.say("warning from the ledger: %s", text) }) }
}

// For implements [client.Heads]: the head of the window that the path names, and the newest of all.
func (h *headFile) For(path string) []string {
	doc, err := h.read()
	if err != nil || len(doc.Heads) == 0 {
		return nil
	}
	newest := doc.Heads[len(doc.Heads)-1]
	out := []string{newest.Head}
	for _, k := range doc.Heads {
		if k.Window != newest.Window && strings.Contains(path, k.Window) {
			out = append(out, k.Head)
		}
	}
	return out
}

// Saw implements [client.Heads].
func (h *headFile) Saw(head string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_ = h.keep(head)
}

func (h *headFile) keep(head string) error {
	window, number, born, err := parseHead(head)
	if err != nil {
		return err
	}
	if err := makeFolder(filepath.Dir(h.name)); err != nil {
		return err
	}
	unlock, err := lockHeads(h.name)
	if err != nil {
		return err
	}
	defer unlock()
	doc, err := h.read()
	if err != nil {
		return err
	}
	at := slices.IndexFunc(doc.Heads, func(k keptHead) bool { return k.Window == window })
	if at >= 0 {
		_, have, haveBorn, err := parseHead(doc.Heads[at].Head)
		if err == nil && (haveBorn > born || haveBorn == born && have >= number) {
			return nil
		}
		doc.Heads = slices.Delete(doc.Heads, at, at+1)
	}
	doc.Heads = append(doc.Heads, keptHead{Window: window, Head: head})
	doc.Heads = doc.Heads[max(0, len(doc.Heads)-mostHeads):]
	return h.write(doc)
}

// parseHead reads the window, the number and the incarnation of a head: "WINDOW NUMBER HASH INCARNATION-SEAL".
func parseHead(head string) (window string, number, born int64, err error) {
	parts := strings.Split(head, " ")
	if len(parts) != 4 || len(head) > 300 {
		return "", 0, 0, errors.New("it is not a head")
	}
	incarnation, _, _ := strings.Cut(parts[3], "-")
	_, idErr := uuid.Parse(parts[0])
	number, numErr := strconv.ParseInt(parts[1], 10, 64)
	born, bornErr := strconv.ParseInt(incarnation, 10, 64)
	return parts[0], number, born, errors.Join(idErr, numErr, bornErr)
}

// read reads the file; a file that is not there, or is no file of ours, is empty.
func (h *headFile) read() (*headDoc, error) {
	doc := new(headDoc)
	raw, err := os.ReadFile(h.name)
	if errors.Is(err, os.ErrNotExist) {
		return doc, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the kept heads: %w", err)
	}
	if json.Unmarshal(raw, doc) != nil {
		return new(headDoc), nil
	}
	return doc, nil
}

// write puts the file in place, whole or not at all.
func (h *headFile) write(doc *headDoc) error {
	raw, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	part := h.name + ".part"
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) //nolint:gosec // a name of our own in our own folder
	if err != nil {
		return err
	}
	_, err = f.Write(append(raw, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(part, h.name)
}

// lockHeads takes the lock of a file of heads; whoever holds it ends at once.
func lockHeads(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name+".lock", os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // a name of our own in our own folder
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil
}
