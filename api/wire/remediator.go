package wire

// A Remediator is what serves one configured third party.
type Remediator struct {
	System     string `json:"system"`
	Remediator string `json:"remediator"`
	Profile    string `json:"profile"`   // empty: none
	Plugin     string `json:"plugin"`    // the name that a plugin gives itself; empty: it is built in, or could not be asked
	SHA256     string `json:"sha256"`    // of a plugin's executable, as pinned; empty: it is built in
	Page       string `json:"page"`      // one paragraph for people
	BackedBy   string `json:"backed_by"` // what it was tested against; empty: nobody said
	Kinds      []Kind `json:"kinds"`     // by name
	Broken     string `json:"broken"`    // why its plugin could not be asked; empty: it could
}

// A Kind is one kind of entries.
type Kind struct {
	Kind       string   `json:"kind"` // empty: any
	Says       string   `json:"says"`
	Actions    []string `json:"actions"`    // that it undoes; empty: nobody said
	Reversible string   `json:"reversible"` // the best grade; empty: it depends on the entry
	Resource   []Member `json:"resource"`   // what names its resource; empty: nobody said
}

// A Member is one member of a resource.
type Member struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required"`
	Says     string `json:"says"`
}

// A RemediatorList lists all systems by name with what serves them. It has one page.
type RemediatorList struct {
	Items []Remediator `json:"items"`
}
