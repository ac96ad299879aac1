-- Reads books and the mark in one look, so that nothing comes between them.
--
--   KEYS  mark, then book and history of each root
--   ARGV  how many bytes of a history's end are wanted, and after how many bytes
--         the rest of the books is left for another look
--
-- Gives the mark, how many keys Redis has ever evicted, then for each root that
-- there was room for: the book, its history's size, the history's shelf id, and the
-- history's end. A history is only read where a snapshot begins the book. Evictions
-- are only asked for where no root is given or a book is missing, which may be one
-- of them: INFO takes longer than all else.

local found = {redis.pcall('GET', KEYS[1])}
if type(found[1]) ~= 'string' then found[1] = '' end
found[2] = '0'
local size, missing = 0, #KEYS == 1
for i = 2, #KEYS, 2 do
	local book = redis.pcall('GET', KEYS[i])
	local length, head, tail = 0, '', ''
	if type(book) == 'table' then
		book = 'no text' -- corrupt
	elseif not book then
		book, missing = '', true
	elseif string.sub(book, 9, 9) == 's' then
		length = redis.pcall('STRLEN', KEYS[i + 1])
		if type(length) ~= 'number' then length = 0 end
		if length > 0 then
			head = redis.call('GETRANGE', KEYS[i + 1], 0, 7)
			tail = redis.call('GETRANGE', KEYS[i + 1], -tonumber(ARGV[1]), -1)
		end
	end
	found[#found + 1] = book
	found[#found + 1] = length
	found[#found + 1] = head
	found[#found + 1] = tail
	size = size + #book + #tail
	if size > tonumber(ARGV[2]) then break end
end
if missing then
	found[2] = string.match(redis.call('INFO', 'stats'), 'evicted_keys:(%d+)') or '0'
end
return found
