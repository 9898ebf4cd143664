/** The action that asks the gate, for HAProxy from 2.5 on, which has an HTTP client in Lua and cannot ask without. */
export const haproxyLua = `-- Asks the gate about each request, by the dialect of forward auth.
--
--   http-request lua.vestibule-gate <url> <token> <headers>
--
-- <url>      where the gate answers: http://<host>:<port>/frontdoor/<id>/gate/forward-auth
-- <token>    the proxy token of that frontdoor
-- <headers>  with commas between: what the gate's answer sets on the request, and takes off it
--
-- 200 lets the request through; every other answer is the visitor's, and no
-- answer at all is a 503.

-- Of one connection, or said anew below: they are not the visitor's to say.
local kept_back = {
  ["connection"] = true, ["keep-alive"] = true, ["proxy-connection"] = true, ["te"] = true,
  ["trailer"] = true, ["transfer-encoding"] = true, ["upgrade"] = true, ["expect"] = true,
  ["content-length"] = true, ["host"] = true, ["forwarded"] = true, ["x-request-id"] = true,
  ["x-forwarded-for"] = true, ["x-forwarded-host"] = true, ["x-forwarded-method"] = true,
  ["x-forwarded-proto"] = true, ["x-forwarded-uri"] = true, ["x-vestibule-proxy-token"] = true,
}

local not_relayed = {
  ["connection"] = true, ["keep-alive"] = true, ["transfer-encoding"] = true, ["content-length"] = true,
}

-- A request by HTTP/2 has no target of its own spelling; in HTTP/1.x the gate sees it as it came.
local function target(txn)
  if txn.sf:req_ver():sub(1, 1) == "1" then return txn.sf:url() end
  return txn.sf:pathq()
end

local function collect(txn, token)
  local headers = {}
  for name, values in pairs(txn.http:req_get_headers()) do
    if not kept_back[name] then
      local lines = {}
      for at = 0, #values do lines[#lines + 1] = values[at] end
      headers[name] = lines
    end
  end
  headers["x-vestibule-proxy-token"] = { token }
  headers["x-forwarded-method"] = { txn.sf:method() }
  headers["x-forwarded-proto"] = { txn.f:ssl_fc() == 1 and "https" or "http" }
  headers["x-forwarded-host"] = { txn.sf:req_fhdr("host") }
  headers["x-forwarded-uri"] = { target(txn) }
  headers["x-forwarded-for"] = { txn.sf:src() }
  headers["x-request-id"] = { txn.sf:uuid() }
  return headers
end

local function deny(txn, answer)
  local status = answer and answer.status or 0
  if status < 300 then
    txn:done(txn:reply({ status = 503, headers = { ["retry-after"] = { "1" }, ["cache-control"] = { "no-store" } } }))
  end
  local reply = txn:reply({ status = status, reason = answer.reason, body = answer.body })
  for name, values in pairs(answer.headers) do
    if not not_relayed[name:lower()] then
      for at = 0, #values do reply:add_header(name, values[at]) end
    end
  end
  txn:done(reply)
end

local function gate(txn, url, token, names)
  local client = core.httpclient()
  local answer = client:get({ url = url, headers = collect(txn, token), timeout = 10000 })
  if answer == nil or answer.status ~= 200 then return deny(txn, answer) end
  for name in names:gmatch("[^,]+") do
    local values = answer.headers[name:lower()]
    local value = values and values[0]
    if value == nil or value == "" then
      txn.http:req_del_header(name)
    else
      txn.http:req_set_header(name, value)
    end
  end
end

core.register_action("vestibule-gate", { "http-req" }, gate, 3)
`;
