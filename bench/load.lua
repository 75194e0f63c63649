-- wrk script: sends the requests of a file in turn, and ends with a summary as one line of JSON.
-- The file (first argument after `--`) has a tenant and a token on each line.

local requests = {}
local last = 0

function init(args)
  for line in io.lines(args[1]) do
    local tenant, token = line:match("^(%S+) (%S+)$")
    requests[#requests + 1] = wrk.format("GET", nil, {
      ["tenant"] = tenant,
      ["Authorization"] = "Bearer " .. token,
    })
  end
end

function request()
  last = last % #requests + 1
  return requests[last]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "errors": %d}\n',
    summary.requests,
    summary.duration / 1e6,
    latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
