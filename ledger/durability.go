package ledger

// A Durability says what has to be lost before a record that was answered is.
type Durability string

const (
	// DurabilityLocal: it is on one disk. What a mirror has is not counted.
	DurabilityLocal Durability = "local"
	// DurabilityReplicated: it is on the disk of a synchronous standby too, and survives the loss of the primary's.
	DurabilityReplicated Durability = "replicated"
)
