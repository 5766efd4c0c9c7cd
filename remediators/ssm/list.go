package ssm

import (
	"context"
	"encoding/json"
	"math"
	"time"

	"sideledger/ledger"
)

// listPages is how many pages of 50 parameters are read.
const listPages = 50

// List implements [ledger.Lister]. A place with a name that ends with '/' lists what is below it.
func (r *Remediator) List(ctx context.Context, _ string, place json.RawMessage) (ledger.Listing, error) {
	out := ledger.Listing{Place: json.RawMessage("{}")}
	ask := map[string]any{"MaxResults": 50}
	if at, err := parseTarget(place); err == nil && at.Name[len(at.Name)-1] == '/' {
		out.Place = named(at.Name)
		ask["ParameterFilters"] = []any{map[string]any{"Key": "Name", "Option": "BeginsWith", "Values": []string{at.Name}}}
	}
	for range listPages {
		var page struct {
			Parameters []struct {
				Name             string
				LastModifiedDate float64
			}
			NextToken string
		}
		reply, err := r.client.Do(ctx, post("DescribeParameters", ask))
		if err != nil {
			return ledger.Listing{}, err
		}
		if err := decode(reply, &page); err != nil {
			return ledger.Listing{}, err
		}
		for _, p := range page.Parameters {
			one := ledger.Listed{Resource: named(p.Name)}
			if whole, part := math.Modf(p.LastModifiedDate); whole > 0 {
				one.Changed = time.Unix(int64(whole), int64(part*1e9)).UTC()
			}
			one.Shows, _ = json.Marshal(map[string]any{"name": p.Name, "modified": p.LastModifiedDate}) // a string and a number encode
			out.Items = append(out.Items, one)
		}
		if page.NextToken == "" {
			return out, nil
		}
		ask["NextToken"] = page.NextToken
	}
	out.Part = true
	return out, nil
}

var _ ledger.Lister = (*Remediator)(nil)
