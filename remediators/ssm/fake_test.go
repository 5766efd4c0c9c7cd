package ssm

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// store is a Parameter Store that enforces what is known of the real one: versions are numbered from 1 after each
// create and at most most are kept, values of SecureStrings are shown on demand only, a type never changes, a delete takes
// the history with it, what a put leaves out is not there afterwards but for the key, whose default comes back.
type store struct {
	t    testing.TB
	URL  string
	mu   sync.Mutex
	kept map[string][]map[string]any
	most int
	tick int
	puts int // changing calls that were carried out
	page int // versions on a page of a history
	deny string
	once string // the error of the next changing call
	lose bool   // the next changing call is carried out and its answer lost
	said []string
}

func startStore(t testing.TB) *store {
	t.Helper()
	s := &store{t: t, kept: map[string][]map[string]any{}, most: 100, page: 2}
	web := httptest.NewServer(s)
	t.Cleanup(web.Close)
	s.URL = web.URL
	return s
}

// ServeHTTP implements [http.Handler].
func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	operation, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "AmazonSSM.")
	var in map[string]any
	if !ok || r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" ||
		json.Unmarshal(raw, &in) != nil || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+keyID+"/") {
		s.t.Errorf("%s %s %s is no call of Parameter Store", r.Method, r.URL, r.Header.Get("X-Amz-Target"))
	}
	s.said = append(s.said, operation)
	code, answer := s.answer(operation, in)
	if changes := operation == "PutParameter" || operation == "DeleteParameter"; changes && code == "" {
		s.puts++
		if s.lose {
			s.lose = false
			panic(http.ErrAbortHandler)
		}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if code != "" {
		w.WriteHeader(http.StatusBadRequest)
		answer = map[string]any{"__type": code, "message": "for people"}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *store) answer(operation string, in map[string]any) (code string, answer any) {
	name, _ := in["Name"].(string)
	switch {
	case operation == s.deny:
		return "AccessDeniedException", nil
	case operation == "DescribeParameters":
		return s.describe(in)
	case operation == "GetParameter":
		return s.get(name, in["WithDecryption"] == true)
	case operation == "GetParameterHistory":
		return s.history(name, in)
	case s.once != "":
		code, s.once = s.once, ""
		return code, nil
	case operation == "PutParameter":
		return s.put(name, in)
	case operation == "DeleteParameter" && s.kept[name] == nil:
		return "ParameterNotFound", nil
	case operation == "DeleteParameter":
		delete(s.kept, name)
		return "", map[string]any{}
	}
	return "InvalidAction", nil
}

func shown(v map[string]any, decrypted bool) map[string]any {
	out := map[string]any{}
	for name, value := range v {
		out[name] = value
	}
	if v["Type"] == secureString && !decrypted {
		out["Value"] = "AQICAHh-ciphertext"
	}
	return out
}

func (s *store) get(name string, decrypted bool) (code string, answer any) {
	name, wanted, versioned := strings.Cut(name, ":")
	list := s.kept[name]
	if len(list) == 0 {
		return "ParameterNotFound", nil
	}
	for i, v := range slices.Backward(list) {
		if fmt.Sprint(v["Version"]) == wanted || !versioned && i == len(list)-1 {
			return "", map[string]any{"Parameter": shown(v, decrypted)}
		}
	}
	return "ParameterVersionNotFound", nil
}

func (s *store) history(name string, in map[string]any) (code string, answer any) {
	token, _ := in["NextToken"].(string)
	from, _ := strconv.Atoi(token)
	list := s.kept[name]
	if len(list) == 0 {
		return "ParameterNotFound", nil
	}
	page := map[string]any{}
	var out []map[string]any
	for _, v := range list[from:min(from+s.page, len(list))] {
		out = append(out, shown(v, in["WithDecryption"] == true))
	}
	if page["Parameters"] = out; from+s.page < len(list) {
		page["NextToken"] = strconv.Itoa(from + s.page)
	}
	return "", page
}

func (s *store) put(name string, in map[string]any) (code string, answer any) {
	list := s.kept[name]
	last := map[string]any{"Version": 0, "Tier": "Standard"}
	if len(list) > 0 {
		last = list[len(list)-1]
		switch {
		case in["Overwrite"] != true:
			return "ParameterAlreadyExists", nil
		case in["Type"] != nil && in["Type"] != last["Type"]:
			return "HierarchyTypeMismatchException", nil
		case last["Tier"] == "Advanced" && in["Tier"] == "Standard":
			return "ValidationException", nil
		}
	}
	if text, _ := in["Value"].(string); text == "" || strings.Contains(text, "$secret") || strings.Contains(text, "ciphertext") {
		s.t.Errorf("%s was written with the value %q", name, text)
	}
	n, _ := last["Version"].(int)
	s.tick++
	v := map[string]any{"Version": n + 1, "LastModifiedDate": 1.7e9 + float64(s.tick)/1000, "Tier": last["Tier"], "DataType": "text", "Type": last["Type"]}
	for _, name := range []string{"Type", "Value", "Description", "AllowedPattern", "KeyId", "Tier"} {
		if in[name] != nil && in[name] != "" {
			v[name] = in[name]
		}
	}
	if v["Type"] == secureString && v["KeyId"] == nil {
		v["KeyId"] = "alias/aws/ssm"
	}
	s.kept[name] = append(list, v)
	if len(s.kept[name]) > s.most {
		s.kept[name] = s.kept[name][1:]
	}
	return "", map[string]any{"Version": n + 1, "Tier": v["Tier"]}
}

func (s *store) describe(in map[string]any) (code string, answer any) {
	prefix := ""
	if filters, _ := in["ParameterFilters"].([]any); len(filters) == 1 {
		filter, _ := filters[0].(map[string]any)
		values, _ := filter["Values"].([]any)
		if filter["Key"] != "Name" || filter["Option"] != "BeginsWith" || len(values) != 1 {
			return "InvalidFilterKey", nil
		}
		prefix, _ = values[0].(string)
	}
	out := []any{}
	for name, list := range s.kept {
		if strings.HasPrefix(name, prefix) {
			out = append(out, map[string]any{"Name": name, "LastModifiedDate": list[len(list)-1]["LastModifiedDate"]})
		}
	}
	return "", map[string]any{"Parameters": out}
}

// write writes a parameter by hand; members are pairs of more of what a put says.
func (s *store) write(name, kind, value string, members ...string) {
	s.t.Helper()
	in := map[string]any{"Type": kind, "Value": value, "Overwrite": true}
	for i := 0; i+1 < len(members); i += 2 {
		in[members[i]] = members[i+1]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if code, _ := s.put(name, in); code != "" {
		s.t.Fatalf("put %s: %s", name, code)
	}
}

func (s *store) remove(name string) { s.set(func() { delete(s.kept, name) }) }

func (s *store) set(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	do()
}

// want fails unless the newest version of a parameter has this value; "": it is not there.
func (s *store) want(name, value string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	got := ""
	if list := s.kept[name]; len(list) > 0 {
		got = fmt.Sprint(list[len(list)-1]["Value"])
	}
	if got != value {
		s.t.Errorf("%s is %q, want %q", name, got, value)
	}
}
