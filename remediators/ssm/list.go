package ssm

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"time"

	"sideledger/ledger"
)

// listPages is how many pages of 50 parameters are read.
const listPages = 50

// folderOf reads the name of a place that ends with '/'; empty: it says none.
func folderOf(place json.RawMessage) string {
	if at, err := parseTarget(place); err == nil && strings.HasSuffix(at.Name, "/") {
		return at.Name
	}
	return ""
}

// Place implements [ledger.Lister]: a name that ends with '/'.
func (r *Remediator) Place(_ string, place json.RawMessage) json.RawMessage {
	if folder := folderOf(place); folder != "" {
		return named(folder)
	}
	return json.RawMessage("{}")
}

// List implements [ledger.Lister]: all parameters, or what is below the place.
func (r *Remediator) List(ctx context.Context, kind string, place json.RawMessage) (ledger.Listing, error) {
	out := ledger.Listing{Place: r.Place(kind, place)}
	ask := map[string]any{"MaxResults": 50}
	if folder := folderOf(place); folder != "" {
		ask["ParameterFilters"] = []any{map[string]any{"Key": "Name", "Option": "BeginsWith", "Values": []string{folder}}}
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
