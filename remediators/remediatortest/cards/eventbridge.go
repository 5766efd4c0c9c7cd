package cards

import (
	"strconv"
	"strings"
	"time"
)

// eventBridgeKnown are the members that a schedule may be given.
const eventBridgeKnown = "ClientToken GroupName ScheduleExpression FlexibleTimeWindow Target State ScheduleExpressionTimezone Description StartDate EndDate KmsKeyArn ActionAfterCompletion"

// EventBridge has schedules in groups: a change overwrites all of one, and what it does not say becomes the default.
func EventBridge() Card {
	const one = "/schedules/{name}"
	return Card{
		Name: "eventbridge", Credential: [2]string{"Authorization", ""}, SigV4: true, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", "/schedule-groups/{group}", func(c *Call) (int, any) { return 200, map[string]any{"Name": c.Vars["group"], "State": "ACTIVE"} }},
			{"GET", "/schedule-groups", func(*Call) (int, any) { return 200, map[string]any{"ScheduleGroups": []any{}} }},
			{"GET", "/schedules", func(c *Call) (int, any) {
				page, next := c.page(c.all("/schedules/"+c.Query("ScheduleGroup"), eventBridgeSummary), "NextToken", "MaxResults", 100)
				out := map[string]any{"Schedules": page, "NextToken": nil}
				if next > 0 {
					out["NextToken"] = strconv.Itoa(next)
				}
				return 200, out
			}},
			{"POST", one, func(c *Call) (int, any) { return eventBridgeWrite(c, true) }},
			{"PUT", one, func(c *Call) (int, any) { return eventBridgeWrite(c, false) }},
			{"GET", one, func(c *Call) (int, any) {
				if doc := c.docs[eventBridgeAt(c, c.Query("groupName"))]; doc != nil {
					return 200, doc
				}
				return 404, message("Schedule does not exist")
			}},
			{"DELETE", one, func(c *Call) (int, any) {
				path := eventBridgeAt(c, c.Query("groupName"))
				if c.docs[path] == nil {
					return 404, message("Schedule does not exist")
				}
				delete(c.docs, path)
				return 200, map[string]any{}
			}},
		},
	}
}

// eventBridgeSummary is what a list shows of a schedule.
func eventBridgeSummary(doc map[string]any) map[string]any {
	out := clone(doc)
	for name := range doc {
		if !strings.Contains(" Arn CreationDate GroupName LastModificationDate Name State Target ", " "+name+" ") {
			delete(out, name)
		}
	}
	out["Target"] = map[string]any{"Arn": part(doc, "Target")["Arn"]}
	return out
}

func eventBridgeAt(c *Call, group string) string { return "/schedules/" + group + "/" + c.Vars["name"] }

func eventBridgeWrite(c *Call, making bool) (int, any) {
	in, ok := c.JSON()
	path := eventBridgeAt(c, text(in, "GroupName"))
	old := c.docs[path]
	switch {
	case !ok || unknown(in, strings.Fields(eventBridgeKnown)...) != "" || text(in, "ScheduleExpression") == "" || len(part(in, "FlexibleTimeWindow")) == 0 || text(part(in, "Target"), "Arn") == "" || text(part(in, "Target"), "RoleArn") == "":
		return 400, message("ValidationException")
	case making && old != nil:
		return 409, message("Schedule already exists")
	case !making && old == nil:
		return 404, message("Schedule does not exist")
	}
	now := float64(time.Now().UnixNano()) / 1e9
	doc := map[string]any{
		"Name": c.Vars["name"], "Arn": "arn:aws:scheduler:::" + path, "CreationDate": now, "LastModificationDate": now, "State": "ENABLED", "ScheduleExpressionTimezone": "UTC", "ActionAfterCompletion": "NONE",
	}
	for name, v := range in {
		doc[name] = v
	}
	delete(doc, "ClientToken")
	c.docs[path] = doc
	return 200, map[string]any{"ScheduleArn": doc["Arn"]}
}
