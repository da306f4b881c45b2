# A stub of what the module uses of nixpkgs' lib, with a small module system: types are checked,
# definitions merged, unknown options refused. It exists because nixpkgs is not in a test's reach;
# the names and meanings are those of https://nixos.org/manual/nixpkgs/stable/#sec-functions-library.
let
  inherit (builtins) all any attrNames concatLists concatMap elemAt filter foldl' head isAttrs isBool
    isFloat isInt isList isString length listToAttrs mapAttrs match toJSON;

  show = builtins.concatStringsSep ".";
  type = name: check: {
    inherit name check;
    # Of several definitions that do not add up all must be the same.
    merge = path: raw:
      let
        defs = concatMap flat raw;
        bad = filter (d: !(check d)) defs;
      in
      if bad != [ ] then throw "option ${show path} is not of type ${name}: ${toJSON bad}"
      else if any (d: d != head defs) defs then throw "option ${show path} has conflicting definitions"
      else head defs;
  };

  isIf = def: isAttrs def && def ? _if;
  isMerge = def: isAttrs def && def ? _merge;
  # The definitions of one option, their conditions decided.
  flat = def:
    if isIf def then (if def._if then flat def.content else [ ])
    else if isMerge def then concatMap flat def._merge
    else [ def ];
  # Those of a set of options: conditions move to the members, undecided, for they may depend on
  # other options of the same set.
  push = def:
    if isMerge def then concatMap push def._merge
    else if isIf def then
      map (d: if isAttrs d && !(isIf d) then mapAttrs (_: lib.mkIf def._if) d else lib.mkIf def._if d) (push def.content)
    else [ def ];
  isSet = def: if isIf def then isSet def.content else isAttrs def;

  isOption = node: isAttrs node && (node._type or "") == "option";
  evalOption = path: option: defs: (option.apply or (x: x)) (
    if concatMap flat defs == [ ]
    then (if option ? default then option.default else throw "option ${show path} is used and not defined")
    else option.type.merge path defs);
  # The tree is told apart before conditions are decided, the value of an option after.
  evalTree = path: freeform: tree: raw:
    let
      defs = concatMap push raw;
      wrong = filter (d: !(isAttrs d)) defs;
      at = name: concatMap (d: if d ? ${name} then [ d.${name} ] else [ ]) defs;
      extra = filter (n: !(tree ? ${n})) (concatMap attrNames defs);
    in
    if wrong != [ ] then throw "${show path} is not a set: ${toJSON wrong}"
    else if extra != [ ] && freeform == null then throw "option ${show (path ++ [ (head extra) ])} does not exist"
    else mapAttrs (n: node: if isOption node then evalOption (path ++ [ n ]) node (at n) else evalTree (path ++ [ n ]) freeform node (at n)) tree
      // listToAttrs (map (n: { name = n; value = freeform.merge (path ++ [ n ]) (at n); }) extra);

  lib = {
    inherit evalTree;
    inherit (builtins) foldl' listToAttrs mapAttrs attrNames concatMap filter;
    mkOption = o: { _type = "option"; } // o;
    mkEnableOption = _: lib.mkOption { type = lib.types.bool; default = false; };
    mkIf = cond: content: { _if = cond; inherit content; };
    mkMerge = defs: { _merge = defs; };
    optional = cond: x: if cond then [ x ] else [ ];
    optionals = cond: list: if cond then list else [ ];
    optionalString = cond: text: if cond then text else "";
    optionalAttrs = cond: x: if cond then x else { };
    filterAttrs = f: set: listToAttrs (concatMap (n: if f n set.${n} then [{ name = n; value = set.${n}; }] else [ ]) (attrNames set));
    mapAttrsToList = f: set: map (n: f n set.${n}) (attrNames set);
    attrByPath = path: default: set:
      if path == [ ] then set
      else if isAttrs set && set ? ${head path} then lib.attrByPath (builtins.tail path) default set.${head path}
      else default;
    hasPrefix = p: s: builtins.substring 0 (builtins.stringLength p) s == p;
    hasSuffix = p: s:
      let n = builtins.stringLength s; k = builtins.stringLength p;
      in n >= k && builtins.substring (n - k) k s == p;
    recursiveUpdate = a: b:
      if isAttrs a && isAttrs b
      then a // mapAttrs (n: v: if a ? ${n} then lib.recursiveUpdate a.${n} v else v) b
      else b;
    unique = foldl' (seen: x: if builtins.elem x seen then seen else seen ++ [ x ]) [ ];
    toInt = s: builtins.fromJSON s;
    types = {
      str = type "str" isString;
      int = type "int" isInt;
      number = type "number" (x: isInt x || isFloat x);
      bool = type "bool" isBool;
      package = type "package" (x: isAttrs x && x ? outPath);
      anything = type "anything" (_: true) // {
        merge = path: raw:
          let pushed = concatMap push raw; defs = concatMap flat raw; in
          if all isSet pushed then evalTree path lib.types.anything { } raw
          else if all isList defs then concatLists defs
          else head defs;
      };
      strMatching = regex: type "str matching ${regex}" (x: isString x && match regex x != null);
      addCheck = t: f: type "${t.name}, restricted" (x: t.check x && f x);
      listOf = t: type "list of ${t.name}" isList // {
        merge = path: raw:
          let defs = concatMap flat raw; in
          if !(all isList defs) then throw "option ${show path} is not a list: ${toJSON defs}"
          else map (x: t.merge (path ++ [ "*" ]) [ x ]) (concatLists defs);
      };
      attrsOf = t: type "set of ${t.name}" isAttrs // {
        merge = path: defs: evalTree path t { } defs;
      };
      nullOr = t: type "null or ${t.name}" (x: x == null || t.check x) // {
        merge = path: raw:
          let set = filter (d: d != null) (concatMap flat raw);
          in if set == [ ] then null else t.merge path set;
      };
      submodule = m: type "submodule" isAttrs // {
        merge = path: defs: evalTree path (m.freeformType or null) m.options defs;
      };
    };
  };
in
lib
