package cards

import (
	"strconv"
	"strings"
	"time"
)

const (
	// cloudSchedulerTargets are the members of which a job has one.
	cloudSchedulerTargets = "httpTarget pubsubTarget appEngineHttpTarget"
	// cloudSchedulerSet are those that a call may set, besides the name, and cloudSchedulerShown those that it sets in vain.
	cloudSchedulerSet   = cloudSchedulerTargets + " description schedule timeZone retryConfig attemptDeadline"
	cloudSchedulerShown = "state status scheduleTime lastAttemptTime userUpdateTime"
)

// CloudScheduler has jobs that are made enabled, whatever is asked for; that a change alters in what its mask names, to nothing
// where it says nothing; that are paused only while they are enabled, and resumed only while they are paused.
func CloudScheduler() Card {
	const list = "/v1/projects/{project}/locations/{location}/jobs"
	const one = list + "/{job}"
	return Card{
		Name: "cloudscheduler", Credential: [2]string{"Authorization", "Bearer "}, LimitFunc: LimitSeconds("Retry-After"),
		Routes: []Route{
			{"GET", list, func(c *Call) (int, any) {
				page, next := c.page(c.all(list, clone), "pageToken", "pageSize", 500)
				out := map[string]any{"jobs": page}
				if next > 0 {
					out["nextPageToken"] = strconv.Itoa(next)
				}
				return 200, out
			}},
			{"POST", list, func(c *Call) (int, any) { return cloudSchedulerCreate(c, fill(list, c.Vars)) }},
			{"GET", one, func(c *Call) (int, any) { return c.one(one, clone) }},
			{"PATCH", one, func(c *Call) (int, any) { return cloudSchedulerPatch(c, fill(one, c.Vars)) }},
			{"POST", one, func(c *Call) (int, any) {
				name, verb, _ := strings.Cut(c.Vars["job"], ":")
				c.Vars["job"] = name
				doc := c.docs[fill(one, c.Vars)]
				move := map[string][2]string{"pause": {"ENABLED", "PAUSED"}, "resume": {"PAUSED", "ENABLED"}}[verb]
				switch {
				case doc == nil:
					return cloudSchedulerError(404, "NOT_FOUND")
				case doc["state"] != move[0]:
					return cloudSchedulerError(400, "FAILED_PRECONDITION")
				}
				doc["state"] = move[1]
				return 200, doc
			}},
			{"DELETE", one, func(c *Call) (int, any) { return c.drop(one, 200, map[string]any{}) }},
		},
	}
}

func cloudSchedulerError(code int, status string) (int, any) {
	return code, map[string]any{"error": map[string]any{"code": code, "status": status}}
}

// cloudSchedulerWrong reports whether a job has what no job has, or not one target.
func cloudSchedulerWrong(job map[string]any) bool {
	targets := 0
	for _, name := range strings.Fields(cloudSchedulerTargets) {
		if job[name] != nil {
			targets++
		}
	}
	return targets != 1 || text(job, "schedule") == "" || unknown(job, strings.Fields(cloudSchedulerSet+" "+cloudSchedulerShown+" name")...) != ""
}

func cloudSchedulerCreate(c *Call, list string) (int, any) {
	in, ok := c.JSON()
	path := "/v1/" + text(in, "name")
	name, inside := strings.CutPrefix(path, list+"/")
	switch {
	case !ok || cloudSchedulerWrong(in) || !inside || strings.Contains(name, "/"):
		return cloudSchedulerError(400, "INVALID_ARGUMENT")
	case c.docs[path] != nil:
		return cloudSchedulerError(409, "ALREADY_EXISTS")
	}
	for name, standard := range map[string]any{"timeZone": "UTC", "retryConfig": map[string]any{"maxRetryDuration": "0s"}} {
		in[name] = either(in[name], standard)
	}
	in["state"], in["userUpdateTime"] = "ENABLED", time.Now().UTC().Format(time.RFC3339Nano)
	c.docs[path] = in
	return 200, in
}

func cloudSchedulerPatch(c *Call, path string) (int, any) {
	doc := clone(c.docs[path])
	in, ok := c.JSON()
	mask := strings.Split(c.Query("updateMask"), ",")
	switch {
	case doc == nil:
		return cloudSchedulerError(404, "NOT_FOUND")
	case !ok || "/v1/"+text(in, "name") != path || unknown(in, strings.Fields(cloudSchedulerSet+" "+cloudSchedulerShown+" name")...) != "":
		return cloudSchedulerError(400, "INVALID_ARGUMENT")
	}
	for _, name := range mask {
		if !strings.Contains(" "+cloudSchedulerSet+" ", " "+name+" ") {
			return cloudSchedulerError(400, "INVALID_ARGUMENT")
		}
		if strings.HasSuffix(name, "Target") && in[name] != nil {
			for _, other := range strings.Fields(cloudSchedulerTargets) {
				delete(doc, other)
			}
		}
		if doc[name] = in[name]; in[name] == nil {
			delete(doc, name)
		}
	}
	if cloudSchedulerWrong(doc) {
		return cloudSchedulerError(400, "INVALID_ARGUMENT")
	}
	doc["userUpdateTime"] = time.Now().UTC().Format(time.RFC3339Nano)
	c.docs[path] = doc
	return 200, doc
}
